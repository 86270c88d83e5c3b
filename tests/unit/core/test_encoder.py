"""The encoder against transformers.BertModel, and what a checkpoint may not be."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from core_helpers import (
    SIZES,
    VOCABULARY,
    bert_tensors,
    make_study,
    random_batch,
    random_split,
    rewrite_tensors,
    write_checkpoint,
)
from safetensors.torch import save_file
from transformers import BertConfig as ReferenceConfig
from transformers import BertModel

from weightwise.combine import make_combiner
from weightwise.data.batches import Framing, make_batch, vocabulary_of
from weightwise.data.tokens import SpecialTokens
from weightwise.errors import UserError
from weightwise.model import encoder as encoder_module
from weightwise.model.checkpoint import layers_kept, load_encoder
from weightwise.model.linear import set_product_dtype
from weightwise.model.multitask import MultiTaskModel
from weightwise.model.packed import pack
from weightwise.train.engine import Engine
from weightwise.train.optimiser import AdamW


@pytest.fixture
def published(tmp_path):
    """A checkpoint as transformers itself saves it, and the model."""

    def make(**sizes):
        torch.manual_seed(0)
        config = ReferenceConfig(**{k: v for k, v in (SIZES | sizes).items() if k != "model_type"})
        config._attn_implementation = "eager"
        model = BertModel(config).eval()
        with torch.no_grad():
            for p in model.parameters():  # initial biases are zero and would hide mistakes
                p.add_(torch.randn_like(p) * 0.1)
        model.save_pretrained(tmp_path / "published")
        return tmp_path / "published", model

    return make


def real(packed) -> int:
    """Tokens without the fillers, which stand at the end."""
    return int(packed.lengths.sum())


def padded(batch) -> dict[str, torch.Tensor]:
    """The same sequences as a padded rectangle."""
    p, count = batch.packed, real(batch.packed)
    grid = {
        name: torch.zeros(p.sequences * p.longest, dtype=torch.int64)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    grid["input_ids"][p.slots[:count]] = p.ids[:count]
    grid["token_type_ids"][p.slots[:count]] = p.segments[:count]
    grid["attention_mask"][p.slots[:count]] = 1
    return {k: v.view(p.sequences, p.longest) for k, v in grid.items()}


def states_of(encoder, packed) -> torch.Tensor:
    """Hidden states of the real tokens."""
    with torch.no_grad():
        return encoder(packed)[: real(packed)]


def reference_states(model, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of the real tokens and the pooler's output."""
    with torch.no_grad():
        out = model(**padded(batch))
    slots = batch.packed.slots[: real(batch.packed)]
    return out.last_hidden_state.flatten(0, 1)[slots], out.pooler_output


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("pairing", ["joint", "siamese"])
def test_hidden_states_equal_transformers(published, activation, pairing):
    folder, model = published(hidden_act=activation)
    batch = random_batch(3, pairing=pairing)
    assert len(set(batch.packed.lengths.tolist())) > 3
    encoder = load_encoder(folder)
    with torch.no_grad():
        hidden = encoder(batch.packed)
        want, pooled = reference_states(model, batch)
        assert len(want) < len(hidden)
        assert (hidden[: len(want)] - want).abs().max() < 1e-5
        assert (encoder.represent(hidden, batch.packed, "pooler") - pooled).abs().max() < 1e-5
    states = torch.zeros(batch.packed.sequences * batch.packed.longest, hidden.shape[1])
    states[batch.packed.slots[: len(want)]] = want
    mask = padded(batch)["attention_mask"][:, :, None]
    states = states.view(batch.packed.sequences, batch.packed.longest, -1)
    mean = (states * mask).sum(1) / mask.sum(1)
    assert torch.allclose(encoder.represent(hidden, batch.packed, "mean"), mean, atol=1e-5)
    assert torch.allclose(encoder.represent(hidden, batch.packed, "cls"), states[:, 0], atol=1e-5)


def test_gradients_equal_transformers(published):
    folder, model = published()
    batch = random_batch(4)
    encoder = load_encoder(folder)
    weights = torch.randn(SIZES["hidden_size"], generator=torch.Generator().manual_seed(0))
    count = real(batch.packed)
    (encoder(batch.packed)[:count] @ weights).square().sum().backward()
    hidden = model(**padded(batch)).last_hidden_state.flatten(0, 1)[batch.packed.slots[:count]]
    (hidden @ weights).square().sum().backward()
    want = model.encoder.layer[0].attention.self
    whole = torch.cat([p.weight.grad for p in (want.query, want.key, want.value)])
    ours = encoder.layers[0].query_key_value.weight.grad
    assert torch.allclose(ours, whole, rtol=1e-4, atol=1e-4)
    table = model.embeddings.word_embeddings.weight.grad
    assert torch.allclose(encoder.word_embeddings.weight.grad, table, rtol=1e-4, atol=1e-4)


def test_neighbours_in_the_batch_do_not_matter(checkpoint):
    encoder = load_encoder(checkpoint)
    texts = [np.array([2, 7, 9, 3]), np.arange(5, 25), np.array([2, 3])]
    together = states_of(encoder, pack(texts)).split([4, 20, 2])
    for text, states in zip(texts, together, strict=True):
        assert torch.allclose(states_of(encoder, pack([text])), states, atol=1e-5)


def test_fillers_take_no_part(checkpoint):
    """Values and gradients are those of the batch without them."""
    encoder = load_encoder(checkpoint)
    texts = [np.array([2, 7, 9, 3]), np.arange(5, 25), np.array([2, 3])]
    found = []
    for multiple in (1, 8, 64):
        packed = pack(texts, multiple=multiple)
        assert len(packed.ids) == -(-26 // multiple) * multiple
        hidden = encoder(packed)
        encoder.zero_grad()
        vectors = [encoder.represent(hidden, packed, how) for how in ("cls", "mean", "pooler")]
        torch.cat(vectors, 1).square().sum().backward()
        gradients = torch.cat([p.grad.reshape(-1) for p in encoder.parameters()])
        found.append((hidden[:26].detach(), *(v.detach() for v in vectors), gradients))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)


def test_names_of_old_checkpoints(published):
    """bert-base-uncased: a `bert.` prefix, gamma and beta, and a head that is not wanted."""
    folder, model = published()

    def rename(tensors):
        old = {
            "bert."
            + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): v
            for k, v in tensors.items()
        }
        return old | {"cls.predictions.bias": torch.zeros(5)}

    rewrite_tensors(folder, rename)
    batch = random_batch(5)
    hidden = states_of(load_encoder(folder), batch.packed)
    assert (hidden - reference_states(model, batch)[0]).abs().max() < 1e-5


@pytest.mark.parametrize("layers", [[0, 2], [1], 2])
def test_chosen_layers(published, layers):
    folder, model = published(num_hidden_layers=3)
    kept = list(range(layers)) if isinstance(layers, int) else layers
    model.encoder.layer = torch.nn.ModuleList(model.encoder.layer[i] for i in kept)
    model.config.num_hidden_layers = len(kept)
    batch = random_batch(6)
    hidden = states_of(load_encoder(folder, layers), batch.packed)
    assert (hidden - reference_states(model, batch)[0]).abs().max() < 1e-5


@pytest.mark.parametrize("layers", [3, [0, 2], [1, 0], [0, 0], []])
def test_layers_that_are_not_there(checkpoint, layers):
    with pytest.raises(UserError, match=r"encoder\.layers"):
        load_encoder(checkpoint, layers)
    assert layers_kept(None, 3) == [0, 1, 2]


def test_half_precision_checkpoint_is_widened(checkpoint):
    rewrite_tensors(checkpoint, lambda t: {k: v.half() for k, v in t.items()})
    encoder = load_encoder(checkpoint)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


def test_bfloat16_is_close_and_gives_fp32(checkpoint):
    encoder, batch = load_encoder(checkpoint), random_batch(7)
    with torch.no_grad():
        want = encoder(batch.packed)
        set_product_dtype(encoder, True)
        narrow = encoder(batch.packed)
        set_product_dtype(encoder, False)
        assert torch.equal(encoder(batch.packed), want)
    assert narrow.dtype == torch.float32
    assert 0 < (narrow - want).abs().max() < 0.1


def test_dropout_follows_the_checkpoint_or_the_study(checkpoint):
    batch = random_batch(8)

    def states(encoder, seed=None):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return encoder(batch.packed, generator)

    own, none = load_encoder(checkpoint), load_encoder(checkpoint, dropout_probability=0.0)
    assert (own.p_hidden, own.p_attention) == (0.1, 0.1)
    assert torch.equal(states(own), states(none, 1))
    assert torch.equal(states(own, 1), states(own, 1))
    assert not torch.allclose(states(own, 1), states(own, 2), atol=1e-3)


def test_dropout_stands_where_bert_has_it(tmp_path, monkeypatch):
    """After the embeddings' norm; per layer on the attention weights and both outputs."""
    folder = write_checkpoint(
        tmp_path / "c", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3
    )
    calls, original = [], encoder_module.dropout

    def watched(x, p, generator):
        calls.append((tuple(x.shape), p))
        return original(x, p, generator)

    monkeypatch.setattr(encoder_module, "dropout", watched)
    packed = random_batch(8).packed
    load_encoder(folder)(packed, torch.Generator())
    hidden = ((len(packed.ids), 32), 0.2)
    attention = ((packed.sequences, 4, packed.longest, packed.longest), 0.3)
    assert calls == [hidden, *[attention, hidden, hidden] * 2]


def compacted(folder, vocabulary, longest, steps=6, dropout=0.1):
    """Losses and used weights of a short training on two tasks."""
    study = make_study(folder.parent, training={"encoder_dropout": dropout})
    tasks = {t: study.tasks[t] for t in ("SEN", "SIM")}
    model = MultiTaskModel(
        tasks, study.training, folder, None, vocabulary, longest, {"SEN": 1.0, "SIM": 2.5}, 0, 1
    )
    generators = {t: torch.Generator().manual_seed(k) for k, t in enumerate(tasks)}
    engine = Engine(model, make_combiner("pcgrad", None, np.random.default_rng(0)), generators)
    optimiser = AdamW(0.9, 0.999, 1e-6)
    optimiser.add(model.trunk_parameters(), 1e-2, 0.01)
    optimiser.add(model.heads["SEN"].named_parameters(), 1e-2, 0.01)
    splits = {"SEN": random_split(1, pair=False, classes=3), "SIM": random_split(2)}
    framing = Framing(SpecialTokens(2, 3), "joint", 24, vocabulary)
    losses = []
    for step in range(steps):
        index = np.arange(4) + 4 * (step % 3)
        record = engine.step({t: make_batch(s, index, framing) for t, s in splits.items()})
        optimiser.step()
        optimiser.zero()
        losses.append(record.losses)
    return np.array(losses), {k: v.clone() for k, v in model.state_dict().items()}


def test_compaction_changes_no_bit(checkpoint):
    splits = [random_split(1, pair=False, classes=3), random_split(2)]
    vocabulary = vocabulary_of(splits, SpecialTokens(2, 3))
    assert len(vocabulary) < len(VOCABULARY)
    losses, weights = compacted(checkpoint, None, None)
    small_losses, small = compacted(checkpoint, vocabulary, 24)
    assert np.array_equal(losses, small_losses)
    assert len(np.unique(losses)) == losses.size
    for name, value in weights.items():
        if name == "encoder.word_embeddings.weight":
            value = value[torch.from_numpy(vocabulary.astype(np.int64))]
        if name == "encoder.position_embeddings.weight":
            value = value[:24]
        assert torch.equal(value, small[name]), name


def refused(folder, match, **keys):
    with pytest.raises(UserError, match=match) as caught:
        load_encoder(folder, **keys)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_act": "swish"}, "hidden_act is 'swish'"),
        ({"hidden_size": 34}, "hidden_size must be a multiple"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_hidden_layers": 0}, "config.json"),
        ({"num_hidden_layers": 3}, r"'encoder\.layer\.2\..*' is missing"),
        ({"hidden_size": 64}, r"has shape \[60, 32\], config.json says \[60, 64\]"),
        ({"intermediate_size": 44}, r"has shape"),
        ({"vocab_size": 61}, r"has shape"),
    ],
)
def test_config_that_does_not_fit(checkpoint, change, match):
    sizes = SIZES | change
    (checkpoint / "config.json").write_text(json.dumps(sizes))
    assert str(checkpoint) in refused(checkpoint, match)


@pytest.mark.parametrize("text", ["", "[]", "{", '"bert"'])
def test_config_that_is_none(checkpoint, text):
    (checkpoint / "config.json").write_text(text)
    refused(checkpoint, "config.json")


def change_one(name, change):
    return lambda tensors: tensors | {name: change(tensors[name])}


def without(name):
    return lambda tensors: {k: v for k, v in tensors.items() if k != name}


def poisoned(value):
    tensor = value.clone()
    tensor.view(-1)[-1] = float("nan")
    return tensor


KEY = "encoder.layer.1.attention.self.key.weight"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (without(KEY), f"'{KEY}' is missing"),
        (without("embeddings.LayerNorm.bias"), "LayerNorm.bias' is missing"),
        (without("pooler.dense.bias"), "pooler.dense.bias' is missing"),
        (change_one(KEY, lambda t: t[:, :-1].contiguous()), "has shape"),
        (change_one(KEY, lambda t: t[:-1]), "has shape"),
        (change_one(KEY, lambda t: t.sum()), "has shape"),
        (change_one("pooler.dense.weight", lambda t: t[:-1]), "has shape"),
        (change_one("embeddings.word_embeddings.weight", poisoned), "not finite"),
        (change_one(KEY, poisoned), "is not finite"),
    ],
)
def test_weights_that_do_not_fit(checkpoint, change, match):
    rewrite_tensors(checkpoint, change)
    assert "model.safetensors" in refused(checkpoint, match)


def test_nothing_is_unpickled(checkpoint):
    path = checkpoint / "model.safetensors"
    torch.save(bert_tensors(SIZES), path)
    refused(checkpoint, "cannot be read as safetensors")
    for data in (b"", b"garbage" * 10, path.read_bytes()[:100]):
        path.write_bytes(data)
        refused(checkpoint, "cannot be read as safetensors")
    path.unlink()
    refused(checkpoint, "cannot be read as safetensors")


def test_truncated_file_is_refused(checkpoint):
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    refused(checkpoint, "cannot be read as safetensors")


def test_longer_than_the_positions(checkpoint):
    refused(checkpoint, r"max_length: 41 .* 40 positions", longest=41)
    assert load_encoder(checkpoint, longest=40).config.max_position_embeddings == 40


def test_token_beyond_the_checkpoints_vocabulary(checkpoint):
    """A tokenizer with added tokens that the weights do not know."""
    refused(checkpoint, "60", vocabulary=np.array([2, 3, 60]))


def pooler_study(folder, representations, combiner="addition"):
    study = make_study(folder.parent)
    tasks = {
        t: study.tasks[t].model_copy(update={"representation": r})
        for t, r in representations.items()
    }
    means = dict.fromkeys(tasks, 1.0)
    return MultiTaskModel(tasks, study.training, folder, None, None, None, means, 0, 1)


def test_checkpoint_without_a_pooler(checkpoint):
    """Sentence encoders are published so."""
    rewrite_tensors(checkpoint, lambda t: {k: v for k, v in t.items() if "pooler" not in k})
    model = pooler_study(checkpoint, {"SEN": "mean", "SIM": "cls"})
    assert not any("pooler" in n for n, _ in model.trunk_parameters())
    with pytest.raises(UserError, match="has no pooler"):
        pooler_study(checkpoint, {"SEN": "mean", "SIM": "pooler"})


def test_pooler_trains_where_it_is_used(checkpoint):
    model = pooler_study(checkpoint, {"SEN": "cls", "SIM": "pooler"})
    assert {"pooler.weight", "pooler.bias"} <= {n for n, _ in model.trunk_parameters()}


@pytest.mark.parametrize("name", ["SST.2", "type", "keys", "train"])
def test_any_configured_name_can_be_a_task(checkpoint, name):
    study = make_study(checkpoint.parent)
    tasks = {name: study.tasks["SEN"], "SIM": study.tasks["SIM"]}
    means = dict.fromkeys(tasks, 1.0)
    model = MultiTaskModel(tasks, study.training, checkpoint, None, None, None, means, 0, 1)
    outputs = model.outputs(name, random_batch(0, pair=False, classes=3))
    assert outputs.shape == (12, 3)
    assert sum("last.weight" in k for k in model.state_dict()) == 2


@pytest.mark.parametrize(
    ("pairing", "decoder", "width"),
    [("joint", "concatenate", 32), ("siamese", "concatenate", 64), ("siamese", "product", 32)],
)
def test_pairs_and_decoders(checkpoint, pairing, decoder, width):
    keys = {"pair": pairing, "decoder": decoder, "head": "linear", "representation": "mean"}
    study = make_study(checkpoint.parent, training=keys)
    tasks = {"SIM": study.tasks["SIM"]}
    model = MultiTaskModel(tasks, study.training, checkpoint, None, None, None, {"SIM": 2.0}, 0, 1)
    batch = random_batch(1, pairing=pairing)
    with torch.no_grad():
        states = model.encoder.represent(model.encoder(batch.packed), batch.packed, "mean")
        if pairing == "joint":
            x = states
        elif decoder == "product":
            x = states[:12] * states[12:]
        else:
            x = torch.cat([states[:12], states[12:]], 1)
        assert model.heads["SIM"].last.in_features == width
        want = x @ model.heads["SIM"].last.weight.T + model.heads["SIM"].last.bias
        assert torch.allclose(model.outputs("SIM", batch), want, atol=1e-6)


def test_heads_start_equal_in_every_arm(checkpoint):
    study = make_study(checkpoint.parent)

    def weights(names, study_seed=0, seed=1):
        tasks = {t: study.tasks[t] for t in names}
        means = dict.fromkeys(tasks, 1.0)
        model = MultiTaskModel(
            tasks, study.training, checkpoint, None, None, None, means, study_seed, seed
        )
        return model.heads["PAR"].last.weight

    alone = weights(["PAR"])
    assert torch.equal(alone, weights(["SEN", "PAR"]))
    assert not torch.equal(alone, weights(["PAR"], seed=2))
    assert not torch.equal(alone, weights(["PAR"], study_seed=1))


def test_write_checkpoint_is_reproducible(tmp_path):
    one, two = write_checkpoint(tmp_path / "a"), write_checkpoint(tmp_path / "b")
    save_file(bert_tensors(SIZES), tmp_path / "x")
    data = {p.read_bytes() for p in (one / "model.safetensors", two / "model.safetensors")}
    assert len(data) == 1
