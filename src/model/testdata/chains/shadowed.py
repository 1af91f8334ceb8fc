import truss_chains as chains
from truss.base import truss_config


def shadowed(chains):
    return chains.Assets(cached=[truss_config.ModelRepo(repo_id="a/b")])
