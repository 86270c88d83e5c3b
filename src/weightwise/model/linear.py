"""A linear layer that multiplies in bfloat16 on request and hands back gradients as they are kept.

Autograd's own backward of a linear layer computes the transpose of the weight's gradient; laying
it out again (and widening it, under autocast) took longer on CPUs than the product itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class _Product(torch.autograd.Function):
    """x [N, in], weight [out, in], bias [out] -> [N, out]; products in `dtype`."""

    @staticmethod
    def forward(ctx, x, weight, bias, dtype):
        x, narrow = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x, narrow)
        return torch.addmm(bias.to(dtype), x, narrow.t())

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        grad_weight = (grad.t() @ x).float() if ctx.needs_input_grad[1] else None
        grad_bias = grad.float().sum(0) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias, None


class Linear(nn.Linear):
    """`torch.nn.Linear` for two-dimensional input; fp32 weights, products in fp32 or bfloat16."""

    product_dtype: torch.dtype = torch.float32

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, in] -> [N, out] in `product_dtype`."""
        if self.weight.dtype != torch.float32:  # double precision, in tests
            return super().forward(x)
        return _Product.apply(x, self.weight, self.bias, self.product_dtype)


def set_product_dtype(module: nn.Module, bf16: bool) -> None:
    """Let every `Linear` in a module multiply in bfloat16, or in fp32."""
    for part in module.modules():
        if isinstance(part, Linear):
            part.product_dtype = torch.bfloat16 if bf16 else torch.float32


@contextlib.contextmanager
def fp32_products(module: nn.Module) -> Iterator[bool]:
    """Inside, every `Linear` in a module multiplies in fp32; gives whether one did not before.

    Passes from outside, and their backward passes, keep the precision that they were made in.
    """
    narrow = [
        part
        for part in module.modules()
        if isinstance(part, Linear) and part.product_dtype != torch.float32
    ]
    kept = [part.product_dtype for part in narrow]
    for part in narrow:
        part.product_dtype = torch.float32
    try:
        yield bool(narrow)
    finally:
        for part, dtype in zip(narrow, kept, strict=True):
            part.product_dtype = dtype
