"""nnU-Net's trainer with fewer and shorter epochs, for ``real_nnunet.py``: nnU-Net has options for neither.

nnU-Net finds it by the environment's ``nnUNet_extTrainer``, and imports each file of the folder that this names.
"""

from __future__ import annotations

import os

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):
    """``SHORT_EPOCHS`` epochs (1) of ``SHORT_ITERATIONS`` steps (250) on ``SHORT_THREADS`` threads (1).

    All three come from the environment. On the CPU, nnU-Net takes a thread a core by itself; where other programs are
    at work, these wait for each other. AdamW stands in for nnU-Net's SGD, which needs thousands of steps.
    """

    def __init__(  # nnU-Net reads the arguments' names
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net's own default
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ.get("SHORT_EPOCHS", "1"))
        self.num_iterations_per_epoch = int(os.environ.get("SHORT_ITERATIONS", "250"))
        self.num_val_iterations_per_epoch = 2
        if device.type == "cpu":
            torch.set_num_threads(int(os.environ.get("SHORT_THREADS", "1")))

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """AdamW, whose learning rate falls from epoch to epoch as nnU-Net's does."""
        optimizer = torch.optim.AdamW(self.network.parameters(), 3e-3)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: (1 - n / self.num_epochs) ** 0.9)
