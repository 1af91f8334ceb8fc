import truss.base.truss_config
import truss_chains as chains, os
from truss.base.truss_config import ModelRepo  # noqa
from truss.base.truss_config import Resources, ModelRepo as Repo, Runtime
from truss_chains import Assets as Cached, WeightsSource as Source

A = chains.Assets(cached=[ModelRepo(repo_id="a/a")])
B = chains.Assets(cached=[Repo(repo_id="a/b")])
C = chains.Assets(cached=[truss.base.truss_config.ModelRepo(repo_id="a/c")])
D = Cached(cached=[Repo(repo_id="a/d")])
