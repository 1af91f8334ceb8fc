from typing import Any

import truss_chains
from truss import truss_config as config

REPO = "owner/name"
REVISION: str = "main"
REV = 'main'
FOLDER = "folder"
SECRET = "tok"
VOLUME = config.ModelRepo(repo_id=REPO, revision=REV, use_volume=True, volume_folder=FOLDER, runtime_secret_name=SECRET)
TWICE = config.ModelRepo(repo_id="a/b", revision=REVISION, use_volume=True, volume_folder="twice")
SHARED = config.ModelRepo(repo_id="a/shared")
CHANGED = config.ModelRepo(repo_id="a/c")
CHANGED = config.ModelRepo(repo_id="a/d")
print(SHARED)


class A(truss_chains.ChainletBase):
    remote_config = truss_chains.RemoteConfig(assets=truss_chains.Assets(cached=[VOLUME]))


class B(truss_chains.ChainletBase):
    remote_config = truss_chains.RemoteConfig(assets=truss_chains.Assets(cached=[VOLUME, config.ModelRepo(repo_id=f"{REPO}")]))


class C(truss_chains.ChainletBase):
    remote_config = truss_chains.RemoteConfig(assets=truss_chains.Assets(cached=[SHARED]))


class D(truss_chains.ChainletBase):
    remote_config = truss_chains.RemoteConfig(assets=truss_chains.Assets(cached=[CHANGED]))


class E(truss_chains.ChainletBase):
    remote_config = truss_chains.RemoteConfig(assets=truss_chains.Assets(cached=[TWICE]))
