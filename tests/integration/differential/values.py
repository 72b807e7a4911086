"""What parameters are filled with: what fits, what nearly fits, and what nobody expects."""

from __future__ import annotations

from random import Random
from typing import Any

LONG = "x" * 300
STAGES = ("None", "Staging", "Production", "Archived")
# what no parameter expects, or what only some do
ODD: tuple[Any, ...] = (
    *(
        None,
        "",
        " ",
        LONG,
        "y" * 6000,
        "z" * 100_001,
        "grün–💥",
        "NaN",
        "1",
        "01",
        "+1",
        "-1",
        "1.0",
        "1e3",
        " 1 ",
        "null",
    ),
    *("a/b", "a:b", "%", "%25", "'", '"', "`", "\n", "\t", "\\", "..", "true", "models:/a/1"),
    *(0, -1, 1, 1.5, 1e300, float("nan"), float("inf"), True, False, 2**31, 2**63, 2**64, -(2**63)),
    *([], {}, [1], ["a"], [None], {"a": 1}, [[]]),
)
ODD_BODIES = (b"", b"{", b"{}", b"null", b"[]", b"[1]", b"1", b'"x"', b"nan", b"\xff", b"\x00", b"true", b" ")
ODD_TOKENS = ("x", "e30=", "bm9uc2Vuc2U=", "1", "", "eyJvZmZzZXQiOiAxfQ==")
SOURCES = """
s3://bucket/model
s3://bucket/model
runs:/{run}/model
mlflow-artifacts:/0/{run}/artifacts/model
mlflow-artifacts:/0/{run}/artifacts/../x
models:/{name}/1
models:/{name}@mine
models:/m-1234
s3://bucket/../x
file:///etc
/etc
http://host/a
dbfs:/a
mlflow-artifacts:/1/2
a b
s3://bucket/a?b#c
"""
MODEL_CONDITIONS = """
name = '{name}'
name ILIKE '%FRAUD'
name LIKE '%card_'
name ILIKE '%Ü%'
name != '{name}'
tags.team = 'risk'
tags.team != 'risk'
tags.`a b` != 'x'
tags.Team LIKE 'ri%'
tags.team ILIKE 'RI%'
tag.team = 'risk'
tags."a.b/c-d" = "cards"
attribute.name = '{name}'
name = "{name}"
"""
VERSION_CONDITIONS = """
version_number > 1
version_number >= 1
version_number = 1
version_number != 1
version_number <= 2
run_id = '{run}'
run_id != '{run}'
run_id IN ('{run}', 'x')
source_path = 's3://bucket/model'
source_path LIKE 's3%'
source_path ILIKE 'S3%'
source_path != 's3://bucket/model'
tags.team = 'risk'
tags.team != 'risk'
tags.`a b` ILIKE 'R%'
tags.Team LIKE '%'
tag.team = 'risk'
name != '{name}'
attribute.run_id = '{run}'
"""
BROKEN_FILTERS = """
name
name =
name = fraud
= 'x'
name == 'x'
foo = 'x'
name > 'x'
name IN ('x')
tags.a > 'x'
tags.a IN ('x')
name = 'x' AND
AND
'
name LIKE 1
name = 1
version_number = 'x'
version_number LIKE '1'
version_number IN (1)
version_number > 1.5
version_number = 9999999999999999999999
run_id LIKE 'x'
run_id IN ()
run_id IN (1)
run_id = 1
source_path = 1
tags = 'x'
tags.= 'x'
tags.a = 1
tags.`a = 'x'
name = 'x' ; DROP TABLE x
name = 'x' name = 'y'
name = 'x', name = 'y'
NOT name = 'x'
name NOT LIKE 'x'
(name = 'x')
((name = 'x'))
name BETWEEN 'a' AND 'b'
metrics.a = 1
params.a = 'x'
name = 'a' AND name = 'b'
`name` = 'x'
NAME = 'x'
name='x'
name = 'it''s'
name = "it's"
name = 'x' and name = 'x'
name IS NULL
current = 1
1 = 1
name LIKE '%' name LIKE '%'
-- name = 'x'
name = 'x' -- y
/* */ name = 'x'
SELECT 1
"""
MODEL_ORDERS: tuple[list[str], ...] = (
    *(
        ["name"],
        ["name ASC"],
        ["name DESC"],
        ["last_updated_timestamp DESC"],
        ["timestamp"],
        ["name", "timestamp DESC"],
    ),
    *(
        ["`name` DESC"],
        ["Name"],
        ["creation_timestamp"],
        ["name FOO"],
        [""],
        ["name", "name"],
        ["tags.a"],
        ["name desc"],
        [],
    ),
    *(
        ["name ASC, name DESC"],
        ["attribute.name"],
        ["timestamp ASC", "name DESC"],
        ["name DESC", "last_updated_timestamp"],
    ),
)
VERSION_ORDERS: tuple[list[str], ...] = (
    *(["version_number"], ["version_number DESC"], ["name ASC", "version_number DESC"], ["creation_timestamp DESC"]),
    *(
        ["last_updated_timestamp ASC"],
        ["name DESC"],
        ["run_id"],
        ["version"],
        ["name FOO"],
        ["source_path"],
        ["`version_number`"],
    ),
    *(["version_number asc"], ["attribute.name"], [""], ["name", "name"], ["timestamp"], []),
)
ENTITIES = (
    *("REGISTERED_MODEL", "MODEL_VERSION", "MODEL_VERSION_TAG", "MODEL_VERSION_ALIAS", "PROMPT", "PROMPT_VERSION"),
    *("PROMPT_TAG", "PROMPT_VERSION_TAG", "PROMPT_ALIAS", "FOO"),
)
URLS = (
    "https://example.com/hook",
    "https://example.com/",
    "http://example.com",
    "ftp://x",
    "https://",
    "x",
    "https://localhost",
)


def lines(block: str) -> list[str]:
    """The lines of one of the blocks above."""
    return [line for line in block.splitlines() if line]


class Values:
    """Values for one story; its models' names begin with `prefix`."""

    def __init__(self, random: Random, prefix: str) -> None:
        self.random = random
        self.prefix = prefix
        self.names = [f"{prefix}{name}" for name in ("fraud", "Fraud", "card_s", "ü")]

    def pick(self, *choices: Any) -> Any:
        """One of them."""
        return self.random.choice(choices)

    def name(self) -> str:
        return self.random.choices([*self.names, f"{self.prefix}nobody"], [10, 2, 2, 1, 2])[0]

    def version(self) -> Any:
        return self.random.choices(["1", "2", "3", "9", 1], [10, 5, 2, 1, 1])[0]

    def key(self) -> str:
        return str(self.pick("team", "Team", "a b", "a.b/c-d", "a:b", LONG[:250]))

    def value(self) -> str:
        return str(self.pick("risk", "cards", "", "ü\n'\"", "v" * 4000, "v" * 5001))

    def alias(self) -> str:
        return str(self.pick("mine", "mine", "Mine", "champion", "a.b-c_d", "latest", "v1", "V2", "vintage"))

    def stage(self) -> str:
        return str(self.pick(*STAGES, *STAGES, "staging", "ARCHIVED", "Canary"))

    def stages(self) -> list[str]:
        return [self.stage() for _ in range(self.pick(0, 1, 1, 2))]

    def flag(self) -> Any:
        return self.pick(True, False, True, False, "true", 1)

    def source(self) -> str:
        return str(self.pick(*lines(SOURCES))).replace("{name}", self.names[0])

    def run_id(self) -> str:
        return str(self.pick("{run}", "{run}", "nobody", ""))

    def tags(self) -> list[dict[str, str]]:
        return [{"key": self.key(), "value": self.value()} for _ in range(self.random.randrange(4))]

    def models_filter(self) -> str:
        return self._filter(MODEL_CONDITIONS)

    def versions_filter(self) -> str:
        return self._filter(VERSION_CONDITIONS)

    def broken_filter(self) -> str:
        return str(self.pick(*lines(BROKEN_FILTERS)))

    def models_order(self) -> list[str]:
        return list(self.pick(*MODEL_ORDERS))

    def versions_order(self) -> list[str]:
        return list(self.pick(*VERSION_ORDERS))

    def most(self) -> Any:
        return self.pick(1, 2, 3, 100, 1000, 1001, "2", 0, -1, 200_000, 200_001)

    def token(self) -> str:
        return str(self.pick(*ODD_TOKENS))

    def hook(self) -> str:
        return str(self.pick("hook", "h", LONG[:200], "a b/c"))

    def url(self) -> str:
        return str(self.pick(*URLS[:2], *URLS))

    def events(self) -> list[dict[str, str]]:
        action = self.pick("CREATED", "CREATED", "SET", "DELETED", "UPDATED", "FOO")
        return [{"entity": str(self.pick(*ENTITIES)), "action": action}] * self.pick(1, 1, 1, 2, 0)

    def secret(self) -> str:
        return str(self.pick("s", "", "ü"))

    def status(self) -> str:
        return str(self.pick("ACTIVE", "DISABLED", "active", "PAUSED"))

    def _filter(self, block: str) -> str:
        # kept to this story's models, so that what another one left behind is not seen
        told = [f"name LIKE '{self.prefix}%'", *self.random.sample(lines(block), self.pick(0, 1, 1, 2))]
        self.random.shuffle(told)
        return str(self.pick(" AND ", " and ")).join(told).replace("{name}", self.name())
