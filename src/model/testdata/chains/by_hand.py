import truss_chains as chains
from truss.base import truss_config

REPOS = [truss_config.ModelRepo(repo_id="a/b")]
CONF = {"cached": REPOS}

A = chains.Assets(cached=REPOS)
B = chains.Assets(**CONF, external_data=[truss_config.ModelRepo])
C = chains.Assets([truss_config.ModelRepo(repo_id="a/b")])
D = chains.Assets(cached=[truss_config.ModelRepo(repo_id="a/b")], weights=[chains.WeightsSource(source="hf://a/c", mount_location="/m")])
E = chains.Assets(cached=[truss_config.ModelRepo("a/b")])
F = chains.Assets(cached=[truss_config.ModelRepo(repo_id="a/b", unknown=1)])
G = chains.Assets(cached=[truss_config.ModelRepo(repo_id="b/p", kind="s3"), truss_config.ModelRepo(repo_id="b/q", kind="s3")])
H = chains.Assets(cached=[truss_config.ModelRepo(repo_id="a/b", use_volume=True)])
I = chains.Assets(cached=[truss_config.ModelRepo(repo_id="a/b", allow_patterns=["x"] + ["y"])])
J = chains.Assets(cached=[*REPOS])
K = chains.Assets(cached=[truss_config.ModelRepo(repo_id=b"a/b".decode(), revision="x" "y", volume_folder=CONF["f"], use_volume=True)])
