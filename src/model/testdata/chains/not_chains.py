import mine
from truss.base.truss_config import ModelRepo
A = mine.Assets(cached=[ModelRepo(repo_id="a/b")])
B = mine.Assets(cached=3)
