import os
from truss_chains import *
import truss_chains as ch
from truss.base import truss_config as tc
REPO = os.environ["REPO"]
X = ch.Assets(cached=[tc.ModelRepo(repo_id=REPO, revision="v1.0", use_volume=True, volume_folder="f")])
Y = Assets(cached=[tc.ModelRepo(repo_id="a/b")])
Z = ch.Assets(cached=[make(r) for r in repos])
