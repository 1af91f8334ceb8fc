from truss_chains import (
    Assets,
    ChainletBase,
    RemoteConfig,
)
from truss.base.truss_config import ModelRepo
class A(ChainletBase):
    remote_config = RemoteConfig(assets=Assets(cached=[ModelRepo(repo_id="a/b", revision="main")]))
