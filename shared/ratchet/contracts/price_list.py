"""What the models that Ratchet knows cost and can do. `ratchet prices --update` writes the prices anew.

Prices are US dollars per million tokens, as the library `genai-prices` gives them; sizes and abilities are kept by
hand. Nothing but a deployment's build, the tests and the command line reads this: functions carry the result.
"""

from decimal import Decimal

from ratchet.contracts.priced_models import LongPrompt, Price, PricedModel

SOURCE = "genai-prices 0.2.3"
AS_OF = "2026-11-22"
_TABLE = """\
# model                 input cached  write output  context output kind       long: above input cached  write output
gpt-4o                    2.5   1.25    2.5     10   128000  16384 plain
gpt-4o-mini              0.15  0.075   0.15    0.6   128000  16384 plain
gpt-4.1                     2    0.5      2      8  1047576  32768 plain
gpt-4.1-mini              0.4    0.1    0.4    1.6  1047576  32768 plain
gpt-4.1-nano              0.1  0.025    0.1    0.4  1047576  32768 plain
gpt-5                    1.25  0.125   1.25     10   400000 128000 reasoning
gpt-5-mini               0.25  0.025   0.25      2   400000 128000 reasoning
gpt-5-nano               0.05  0.005   0.05    0.4   400000 128000 reasoning
gpt-5.1                  1.25  0.125   1.25     10   400000 128000 reasoning
gpt-5.2                  1.75  0.175   1.75     14   400000 128000 reasoning
gpt-5.4                   2.5   0.25    2.5     15  1050000 128000 reasoning  272000      5    0.5      5   22.5
gpt-5.4-mini             0.75  0.075   0.75    4.5   400000 128000 reasoning
gpt-5.4-nano              0.2   0.02    0.2   1.25   400000 128000 reasoning
gpt-5.5                     5    0.5      5     30  1050000 128000 reasoning  272000     10      1     10     45
gpt-5.6-luna              0.2   0.02   0.25    1.2  1050000 128000 reasoning  272000    0.4   0.04    0.5    1.8
gpt-5.6-sol                 4    0.4      5     20  1050000 128000 reasoning  272000      8    0.8     10     30
gpt-5.6-terra               2    0.2    2.5     12  1050000 128000 reasoning  272000      4    0.4      5     18
gpt-6-astra                10      1   12.5     50  1050000 128000 reasoning  272000     20      2     25     75
gpt-6-luna                0.1   0.01  0.125    0.5  1050000 128000 reasoning  272000    0.2   0.02   0.25   0.75
gpt-6-sol                   2    0.2    2.5     10  1050000 128000 reasoning  272000      4    0.4      5     15
gpt-6.1-sol                 2    0.1    2.5     10  1050000 128000 reasoning  272000      4    0.2      5     15
gpt-6.1-terra               1   0.05   1.25      5  1050000 128000 reasoning  272000      2    0.1    2.5    7.5
o1                         15    7.5     15     60   200000 100000 reasoning
o3                          2    0.5      2      8   200000 100000 reasoning
o3-mini                   1.1   0.55    1.1    4.4   200000 100000 reasoning
o4-mini                   1.1  0.275    1.1    4.4   200000 100000 reasoning
text-embedding-3-large   0.13   0.13   0.13      0     8192      1 embedding
text-embedding-3-small   0.02   0.02   0.02      0     8192      1 embedding
"""


def _model(line: str) -> PricedModel:
    name, *prices, context, output, kind = line.split()[:8]
    above, *long = line.split()[8:] or ("0",)
    return PricedModel(
        name=name,
        price=Price.usd_per_million(*map(Decimal, prices)),
        context_tokens=int(context),
        max_output_tokens=int(output),
        is_reasoning=kind == "reasoning",
        has_json_schema=kind != "embedding",
        is_embedding=kind == "embedding",
        long_prompt=LongPrompt(int(above), Price.usd_per_million(*map(Decimal, long)))
        if long
        else None,
        source=SOURCE,
        as_of=AS_OF,
    )


PRICE_LIST = tuple(_model(line) for line in _TABLE.splitlines() if not line.startswith("#"))
