import truss_chains as chains
from truss.base.truss_config import (
    ModelRepo,
    Resources,  # kept
)

X = chains.Assets(
    cached=[
        ModelRepo(
            repo_id="a/b",  # one
            revision="v1.0",
            use_volume=True,
            volume_folder="b",
        ),
    ],
)
print(Resources)