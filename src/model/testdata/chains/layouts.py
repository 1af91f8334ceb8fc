# Layouts of all kinds; nothing but the calls changes.
import truss_chains as chains
from truss.base.truss_config import ModelRepo, ModelRepoSourceKind, Resources

A = 'x\ty'  ;  B = f"{A!r:>{10}} {'nested'} {{cached=[ModelRepo()]}}"
TEXT = """
chains.Assets(cached=[ModelRepo(repo_id="not/code")])
"""


class One(chains.ChainletBase):
    remote_config = chains.RemoteConfig(assets=chains.Assets(cached = [ ModelRepo( repo_id = "a/b" , revision = "v1" , use_volume = True , volume_folder = "one" ) , ] , secret_keys = [ "s" ] ))


class Two(chains.ChainletBase):
	remote_config = chains.RemoteConfig(
		assets=chains.Assets(
			secret_keys=["aws"],  # tabs here
			cached=(
				ModelRepo(
					kind="s3",
					repo_id="bucket/"
					        "path",
					use_volume=False,
					runtime_secret_name="aws"),
			),
		),
		options=chains.ChainletOptions(env_variables={"X": "é模"}),
	)


class Three(chains.ChainletBase):
    remote_config = chains.RemoteConfig(
        assets=chains.Assets(cached=[
            # first
            ModelRepo(repo_id='a/b', use_volume=True,  # the volume
                      volume_folder='/abs/three', revision='0123456789abcdef0123456789abcdef01234567',
                      ignore_patterns=['*.bin',
                                       'old/*'],
                      allow_patterns=None),  # last
            # second
            ModelRepo(
                repo_id='c/d'
                , use_volume=True, volume_folder='d', runtime_secret_name=''
            )
            # nothing below
        ]) \
        , compute=chains.Compute(gpu="H100"),
    )


class Four(chains.ChainletBase):
    remote_config = chains.RemoteConfig(assets=chains.Assets(cached=[], secret_keys=[]), compute=Resources())
