"""Docs: cached weights."""
import random

import truss_chains as chains
from truss.base import truss_config

PHI_HF_MODEL = "microsoft/Phi-3-mini-4k-instruct"
# This configures to cache model weights from the hunggingface repo
# in the docker image that is used for deploying the Chainlet.
PHI_CACHE = truss_config.ModelRepo(
    repo_id=PHI_HF_MODEL, allow_patterns=["*.json", "*.safetensors", ".model"]
)


class PhiLLM(chains.ChainletBase):
    remote_config = chains.RemoteConfig(
        compute=chains.Compute(cpu_count=2, gpu="T4"),
        # Cache the model weights in the image
        assets=chains.Assets(cached=[PHI_CACHE], secret_keys=["hf_access_token"]),
    )

    def __init__(self) -> None:
        self._model = load(PHI_HF_MODEL, "/app/model_cache/old")


class Other(chains.ChainletBase):
    remote_config = chains.RemoteConfig(
        assets=chains.Assets(
            cached=[
                # the base
                truss_config.ModelRepo(
                    repo_id='a/b',  # which
                    revision='v1.0',  # pinned 2024
                    use_volume=True,
                    volume_folder='base',
                    kind=truss_config.ModelRepoSourceKind.HF,
                    allow_patterns=[
                        "*.json",  # small
                    ],
                ),
                truss_config.ModelRepo(repo_id="c/d", use_volume=False, revision="main", runtime_secret_name="tok"),
            ],
        ),
    )
