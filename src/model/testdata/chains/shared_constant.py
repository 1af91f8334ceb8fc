import truss_chains as chains
from truss.base import truss_config

REPO = "owner/name"
REV = "v1.0"
CACHE = truss_config.ModelRepo(repo_id=REPO, revision=REV, use_volume=True, volume_folder="it")


class A(chains.ChainletBase):
    remote_config = chains.RemoteConfig(assets=chains.Assets(cached=[CACHE]))


class B(chains.ChainletBase):
    remote_config = chains.RemoteConfig(assets=chains.Assets(cached=[CACHE,]))

    def path(self):
        return "/app/model_cache/it/x", "/app/model_cache/other"
