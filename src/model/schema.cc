#include "model/schema.h"

namespace bdn::model {
namespace {

constexpr const char* kHead = R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
)json";

constexpr const char* kConfig = R"json(  "title": "config.yaml",
  "description": "The keys that bdn acts on. All others are kept as they are.",
  "type": ["object", "null"],
  "properties": {
    "model_name": {"description": "Name of the deployment.", "type": ["string", "null"]},
    "weights": {"$ref": "#/$defs/weights"},
    "model_cache": {
      "description": "Old form of `weights`; `bdn migrate` rewrites it.",
      "deprecated": true,
      "deprecationMessage": "write weights; `bdn migrate` does it"
    },
    "hf_cache": {
      "description": "Old form of `weights`; `bdn migrate` rewrites it.",
      "deprecated": true,
      "deprecationMessage": "write weights; `bdn migrate` does it"
    },
    "external_data": {
      "description": "Old form of `weights`; `bdn migrate` rewrites it.",
      "deprecated": true,
      "deprecationMessage": "write weights; `bdn migrate` does it"
    },
    "environment_variables": {
      "description": "Of the server. Booleans become `true` and `false`.",
      "type": ["object", "null"],
      "propertyNames": {"minLength": 1, "not": {"pattern": "[=\\u0000]"}},
      "additionalProperties": {
        "type": ["string", "number", "boolean", "null"],
        "not": {"type": "string", "pattern": "\\u0000"}
      }
    },
    "secrets": {
      "description": "Names of secrets that the server finds as files; the values should be null.",
      "type": ["object", "null"],
      "propertyNames": {"minLength": 1, "not": {"pattern": "^\\.{1,2}$|[/\\u0000]"}},
      "additionalProperties": {"type": ["string", "null"]}
    },
    "docker_server": {
      "description": "How `bdn run` starts and watches the server.",
      "type": ["object", "null"],
      "required": ["server_port", "predict_endpoint", "readiness_endpoint", "liveness_endpoint"],
      "properties": {
        "server_port": {
          "type": ["integer", "string"],
          "minimum": 1,
          "maximum": 65535,
          "pattern": "^0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
        },
        "predict_endpoint": {"type": "string"},
        "readiness_endpoint": {"type": "string"},
        "liveness_endpoint": {"type": "string"},
        "start_command": {
          "description": "Required unless `no_build` is true.",
          "type": ["string", "null"]
        },
        "run_as_user_id": {
          "type": ["integer", "string", "null"],
          "not": {"enum": [0, 60000]},
          "pattern": "^(?!-?0*$)(?!0*60000$)-?[0-9]+$"
        }
      },
      "if": {
        "type": "object",
        "not": {"required": ["no_build"], "properties": {"no_build": {"enum": [true, "true"]}}}
      },
      "then": {
        "required": ["start_command"],
        "properties": {"start_command": {"type": "string"}}
      }
    }
  },
  "not": {
    "type": "object",
    "required": ["weights"],
    "properties": {"weights": {"type": "array", "minItems": 1}},
    "anyOf": [
      {
        "required": ["model_cache"],
        "properties": {
          "model_cache": {
            "anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]
          }
        }
      },
      {
        "required": ["hf_cache"],
        "properties": {
          "hf_cache": {
            "anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]
          }
        }
      }
    ]
  },
  "$defs": )json";

constexpr const char* kWeights = R"json(  "$ref": "#/$defs/weights",
  "$defs": )json";

// One pattern a form of source; each says what ParseSourceUri says. `(?:/+\.)*/+` is what stands
// between two segments of a path before it is normalised.
constexpr const char* kDefinitions = R"json({
    "weights": {
      "title": "Weights",
      "description": "Where model weights come from and where they are mounted, read-only, before the model's server starts.",
      "type": "array",
      "maxItems": 1000,
      "items": {"$ref": "#/$defs/weightsSource"}
    },
    "weightsSource": {
      "title": "Weights source",
      "type": "object",
      "required": ["source", "mount_location"],
      "additionalProperties": false,
      "properties": {
        "source": {"$ref": "#/$defs/source"},
        "mount_location": {"$ref": "#/$defs/mountLocation"},
        "auth": {"$ref": "#/$defs/auth"},
        "auth_secret_name": {
          "description": "Name of a secret: the short form of `auth` with CUSTOM_SECRET. Not together with `auth.auth_secret_name`.",
          "type": ["string", "null"]
        },
        "allow_patterns": {
          "description": "Files to take; left out: all files. `*` matches within one directory only: write `**/*.safetensors` for files in subdirectories.",
          "type": ["array", "null"],
          "maxItems": 1000,
          "minItems": 1,
          "items": {"$ref": "#/$defs/pattern"}
        },
        "ignore_patterns": {
          "description": "Files to leave; stronger than `allow_patterns`.",
          "type": ["array", "null"],
          "maxItems": 1000,
          "items": {"$ref": "#/$defs/pattern"}
        }
      },
      "not": {
        "required": ["auth", "auth_secret_name"],
        "properties": {
          "auth_secret_name": {"type": "string", "minLength": 1},
          "auth": {
            "type": "object",
            "required": ["auth_secret_name"],
            "properties": {"auth_secret_name": {"type": "string", "minLength": 1}}
          }
        }
      },
      "defaultSnippets": [
        {
          "label": "Hugging Face repository",
          "body": {
            "source": "hf://${1:owner}/${2:repo}@${3:main}",
            "mount_location": "/models/${2:repo}"
          }
        },
        {
          "label": "private Hugging Face repository",
          "body": {
            "source": "hf://${1:owner}/${2:repo}@${3:main}",
            "mount_location": "/models/${2:repo}",
            "auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "${4:hf_access_token}"}
          }
        },
        {
          "label": "S3 bucket",
          "body": {
            "source": "s3://${1:bucket}/${2:path}",
            "mount_location": "/models/${3:name}",
            "auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "${4:aws_credentials}"}
          }
        }
      ]
    },
    "source": {
      "description": "URI of the weights. Only hf:// has `@revision` (a branch, tag or commit; default `main`) and bt:// `@job`; the others are pinned as they are when they are mirrored.",
      "type": "string",
      "minLength": 1,
      "maxLength": 4096,
      "not": {"pattern": "[\\u0000-\\u001f\\u007f]"},
      "examples": [
        "hf://owner/repo@main",
        "s3://bucket/path",
        "gs://bucket/path",
        "r2://account_id.bucket/path",
        "azure://account/container/path",
        "cw://bucket/path",
        "https://hostname/path/file.safetensors",
        "bt://project@latest"
      ],
      "anyOf": [
        {
          "title": "Hugging Face: hf://[models/|datasets/|spaces/]owner/repo[@revision]",
          "pattern": "^hf://(?:(?:models|datasets|spaces)/|(?!(?:models|datasets|spaces)/))(?=[^@]{1,96}/*(?:@|$))(?![.-])(?![A-Za-z0-9._-]*(?:--|\\.\\.))[A-Za-z0-9._-]*[A-Za-z0-9_]/(?![A-Za-z0-9._-]*\\.git(?:[/@]|$))(?![.-])(?![A-Za-z0-9._-]*(?:--|\\.\\.))[A-Za-z0-9._-]*[A-Za-z0-9_]/*(?:@(?!(?:/|%2[Ff]))(?!.*(?:/|%2[Ff])(?:/|%2[Ff]))(?!.*\\.\\.)(?!.*(?:/|%2[Ff])$)[^ ~^:?*\\[\\\\]*)?$",
          "patternErrorMessage": "Supported forms: hf://owner/repo[@revision], s3://, gs:// and cw://bucket[/path], r2://account_id.bucket[/path], azure://account/container[/path], https://hostname/path, bt://project[@revision][/checkpoint]"
        },
        {
          "title": "S3, Google Cloud Storage, CoreWeave: scheme://bucket[/path]",
          "pattern": "^(?:s3|gs|cw)://(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+(?:/[^@]*)?$",
          "patternErrorMessage": "Expected format: s3://bucket/path, gs://bucket/path or cw://bucket/path, without `@`"
        },
        {
          "title": "Cloudflare R2: r2://account_id.bucket[/path]",
          "pattern": "^r2://[A-Za-z0-9]+\\.(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+(?:/[^@]*)?$",
          "patternErrorMessage": "Expected format: r2://account_id.bucket/path, without `@`"
        },
        {
          "title": "Azure Blob Storage: azure://account/container[/path]",
          "pattern": "^azure://[A-Za-z0-9]+/(?:\\$root|\\$web|(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+)(?:/[^@]*)?$",
          "patternErrorMessage": "Expected format: azure://account/container/path, without `@`"
        },
        {
          "title": "One file: https://hostname/path",
          "pattern": "^https://(?!:)[^/?#@\\\\ %\"<>^`{|}]+/(?:[^?#]*/)?(?!\\.{1,2}(?:[?#]|$))[^/?#]+(?:[?#].*)?$",
          "patternErrorMessage": "Expected format: https://hostname/path"
        },
        {
          "title": "Loops run: bt://loops:<run_id>/(weights|sampler_weights)/<checkpoint>",
          "pattern": "^bt://loops:(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+/(?:weights|sampler_weights)/(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+/*$",
          "patternErrorMessage": "Expected format: bt://loops:<run_id>/weights/<checkpoint>"
        },
        {
          "title": "Training checkpoint: bt://project[@revision][/checkpoint]",
          "pattern": "^bt://[A-Za-z0-9._ -]+(?:@(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+)?(?:/(?!\\.{1,2}(?:[/@]|$))[A-Za-z0-9._-]+)*/*$",
          "patternErrorMessage": "Expected format: bt://project[@revision][/checkpoint]"
        }
      ]
    },
    "mountLocation": {
      "description": "Absolute path at which the server finds the files; unique, and not inside another one.",
      "type": "string",
      "minLength": 1,
      "maxLength": 4096,
      "pattern": "^/",
      "patternErrorMessage": "mount_location must be an absolute path (start with /)",
      "examples": ["/models/base"],
      "allOf": [
        {"not": {"pattern": "[\\u0000-\\u001f\\u007f]"}},
        {"not": {"description": "a segment longer than 255 bytes", "pattern": "[^/]{256}"}},
        {"not": {"description": "a '..' segment", "pattern": "/\\.\\.(?:/|$)"}},
        {"not": {"description": "the root", "pattern": "^(?:/+\\.)*/*$"}},
        {
          "not": {
            "description": "below a directory of the system",
            "pattern": "^(?:/+\\.)*/+(?:proc|sys|dev|boot|etc|bin|sbin|lib|lib32|lib64|usr(?:/+\\.)*/+(?:bin|lib))(?:/|$)"
          }
        },
        {
          "not": {
            "description": "a directory that a mount would hide",
            "pattern": "^(?:/+\\.)*/+(?:usr|var|run|tmp|root|home|usr(?:/+\\.)*/+sbin)(?:/+\\.)*/*$"
          }
        }
      ]
    },
    "pattern": {
      "description": "A path below the root of the source, with `*`, `?` and `[…]` within one directory and `**/` for any number of directories. `dir/` is everything below. Put it in quotes.",
      "type": "string",
      "minLength": 1,
      "maxLength": 4096,
      "pattern": "^(?:[^\\\\\\[/]|\\\\[^/]|\\[(?:[!^]|(?![!^]))(?:\\[:(?:alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit):\\]|(?!\\[:[^/]*:\\])(?:\\\\[^/]|[^\\\\/])(?:-(?!\\])(?:\\\\[^/]|[^\\\\/])|(?!-[^\\]/])))(?:\\[:(?:alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit):\\]|(?!\\[:[^/]*:\\])(?:\\\\[^/]|[^\\\\/\\]])(?:-(?!\\])(?:\\\\[^/]|[^\\\\/])|(?!-[^\\]/])))*\\])+(?:/(?:[^\\\\\\[/]|\\\\[^/]|\\[(?:[!^]|(?![!^]))(?:\\[:(?:alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit):\\]|(?!\\[:[^/]*:\\])(?:\\\\[^/]|[^\\\\/])(?:-(?!\\])(?:\\\\[^/]|[^\\\\/])|(?!-[^\\]/])))(?:\\[:(?:alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit):\\]|(?!\\[:[^/]*:\\])(?:\\\\[^/]|[^\\\\/\\]])(?:-(?!\\])(?:\\\\[^/]|[^\\\\/])|(?!-[^\\]/])))*\\])+)*/?$",
      "patternErrorMessage": "A pattern is relative to the root of the source: no '/' or './' at its beginning, no empty, '.' or '..' segment, every '[' closed in its segment, no backslash at the end of one",
      "examples": ["*.json", "**/*.safetensors", "unet/"],
      "allOf": [
        {"not": {"pattern": "\\u0000"}},
        {"not": {"description": "a '.' or '..' segment", "pattern": "(?:^|/)\\.{1,2}(?:/|$)"}}
      ]
    },
    "auth": {
      "title": "Credentials of the source",
      "type": ["object", "null"],
      "required": ["auth_method"],
      "additionalProperties": false,
      "properties": {
        "auth_method": {
          "description": "CUSTOM_SECRET needs auth_secret_name; AWS_OIDC needs aws_oidc_role_arn and aws_oidc_region; GCP_OIDC needs gcp_oidc_service_account and gcp_oidc_workload_id_provider. The other fields must not be set.",
          "type": "string",
          "anyOf": [
            {"enum": ["CUSTOM_SECRET", "AWS_OIDC", "GCP_OIDC"]},
            {
              "pattern": "^(?:[Cc][Uu][Ss][Tt][Oo][Mm]_[Ss][Ee][Cc][Rr][Ee][Tt]|[Aa][Ww][Ss]_[Oo][Ii][Dd][Cc]|[Gg][Cc][Pp]_[Oo][Ii][Dd][Cc])$",
              "patternErrorMessage": "Input should be 'CUSTOM_SECRET', 'AWS_OIDC' or 'GCP_OIDC'"
            }
          ]
        },
        "auth_secret_name": {
          "description": "With CUSTOM_SECRET: name of the secret (`bdn secret set NAME`). hf: a token; s3, r2, cw: JSON with aws_access_key_id and aws_secret_access_key; gs: a service account's JSON.",
          "type": ["string", "null"]
        },
        "aws_oidc_role_arn": {
          "description": "With AWS_OIDC: the role to assume.",
          "type": ["string", "null"]
        },
        "aws_oidc_region": {
          "description": "With AWS_OIDC: the region of the bucket.",
          "type": ["string", "null"]
        },
        "gcp_oidc_service_account": {
          "description": "With GCP_OIDC: the service account to act as.",
          "type": ["string", "null"]
        },
        "gcp_oidc_workload_id_provider": {
          "description": "With GCP_OIDC: the workload identity provider.",
          "type": ["string", "null"]
        }
      },
      "allOf": [
        {
          "if": {
            "required": ["auth_method"],
            "properties": {
              "auth_method": {"pattern": "^[Cc][Uu][Ss][Tt][Oo][Mm]_[Ss][Ee][Cc][Rr][Ee][Tt]$"}
            }
          },
          "then": {
            "required": ["auth_secret_name"],
            "properties": {
              "auth_secret_name": {"type": "string", "minLength": 1},
              "aws_oidc_role_arn": {"enum": [null, ""]},
              "aws_oidc_region": {"enum": [null, ""]},
              "gcp_oidc_service_account": {"enum": [null, ""]},
              "gcp_oidc_workload_id_provider": {"enum": [null, ""]}
            }
          }
        },
        {
          "if": {
            "required": ["auth_method"],
            "properties": {"auth_method": {"pattern": "^[Aa][Ww][Ss]_[Oo][Ii][Dd][Cc]$"}}
          },
          "then": {
            "required": ["aws_oidc_role_arn", "aws_oidc_region"],
            "properties": {
              "auth_secret_name": {"enum": [null, ""]},
              "aws_oidc_role_arn": {"type": "string", "minLength": 1},
              "aws_oidc_region": {"type": "string", "minLength": 1},
              "gcp_oidc_service_account": {"enum": [null, ""]},
              "gcp_oidc_workload_id_provider": {"enum": [null, ""]}
            }
          }
        },
        {
          "if": {
            "required": ["auth_method"],
            "properties": {"auth_method": {"pattern": "^[Gg][Cc][Pp]_[Oo][Ii][Dd][Cc]$"}}
          },
          "then": {
            "required": ["gcp_oidc_service_account", "gcp_oidc_workload_id_provider"],
            "properties": {
              "auth_secret_name": {"enum": [null, ""]},
              "aws_oidc_role_arn": {"enum": [null, ""]},
              "aws_oidc_region": {"enum": [null, ""]},
              "gcp_oidc_service_account": {"type": "string", "minLength": 1},
              "gcp_oidc_workload_id_provider": {"type": "string", "minLength": 1}
            }
          }
        }
      ]
    }
  }
}
)json";

}  // namespace

std::string ConfigSchema() {
  return std::string(kHead) + kConfig + kDefinitions;
}

std::string WeightsSchema() {
  return std::string(kHead) + kWeights + kDefinitions;
}

}  // namespace bdn::model
