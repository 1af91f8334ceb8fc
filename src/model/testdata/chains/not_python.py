import truss_chains as chains
A = chains.Assets(cached=[ModelRepo(repo_id="a/b"])
