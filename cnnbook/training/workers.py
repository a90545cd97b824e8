"""Training by several workers, on this machine or on a cluster, by Ray.

As many seeds as workers, or more: each seed is one worker's. Fewer seeds than workers: one seed after the other, each
of them a run that all workers share. Worker r of n takes the examples r, r + n, r + 2n, ... of every batch, the
gradients are averaged, and worker 0 is the run as run.py has it: the checkpoints that it writes are the usual ones, and
one process can go on with them. Without batch normalisation, dropout and augmentation the weights are those of one
process, but for the order in which sums are rounded. With them each worker takes the statistics of its own share, and
draws its own random numbers.
"""

from cnnbook import backend, data
from cnnbook.training import fit
from cnnbook.training.run import Stopped, TrainingError, disk

import concurrent.futures
import contextlib
import dataclasses
import functools
import os
import signal
import sys
import threading

import keras
import numpy as np

RESTARTS = 3  # times that a run goes on from its last checkpoint after a worker was lost


def check(plan, count, address=None):
    """Raises ValueError for what ``train`` cannot do, before anything starts."""
    if type(count) is not int or count < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {count!r}")
    if address is not None and (not isinstance(address, str) or not address):
        raise ValueError(f"address must be a cluster's, such as 10.0.0.1:6379 or auto, got {address!r}")
    seeds = len(plan.seeds)
    if count <= seeds:
        return
    instead = f"give at most as many workers as seeds, {seeds}: each then trains seeds of its own"
    if plan.recipe.runner() is not fit.Fit:
        raise ValueError(f"workers: a run of {plan.recipe.run} cannot be shared by {count} workers; {instead}")
    if backend.name() not in _BACKENDS:
        raise ValueError(f"workers: on {backend.name()} {count} workers cannot share a run; {instead}, or take "
                         f"KERAS_BACKEND={' or '.join(_BACKENDS)}")  # fmt: skip
    for seed in plan.seeds:
        batch = plan.recipe.settings_of(seed)["batch_size"]
        if batch % count:
            fits = [n for n in range(1, batch + 1) if batch % n == 0]
            raise ValueError(f"workers must divide the batch of {batch} examples, got {count}; allowed: "
                             f"{', '.join(map(str, fits))}. Or {instead}")  # fmt: skip


def train(plan, count, *, address=None, resume=False, fresh=False, progress=None, tensorboard=None, wait=60.0):
    """Train what ``prepared`` has checked by ``count`` workers, write the record and return it.

    address   a running cluster's; None starts Ray on this machine. A cluster's machines need cnnbook, the data and,
              under the same path, the folder that the plan writes to
    wait      seconds until the workers must be there

    The rest is as in ``training.train``. A seed that fails does not stop the others. A worker that is killed is started
    again and goes on from the last checkpoint. Raises ValueError and TrainingError.
    """
    check(plan, count, address)
    if resume and fresh:
        raise ValueError("resume and fresh contradict each other: give one of them")
    if plan.recipe.settings and count > len(plan.seeds):
        plan = dataclasses.replace(plan, command=f"{plan.command} --workers {count}")
    plan = dataclasses.replace(plan, home=plan.home.resolve(), path=plan.path.resolve())
    examples = plan.examples()
    runs = [plan.run(seed, examples) for seed in plan.seeds]
    for run in runs:
        run.begin(resume, fresh)
    told = {"progress": bool(progress or (progress is None and sys.stderr.isatty())), "board": tensorboard}
    place = {"folder": os.getcwd(), "path": list(sys.path)}
    with _ray(count, address) as ray, _sigterm():
        group = _came(ray, count, wait)
        if count <= len(runs):
            _a_seed_each(ray, group, plan, runs, told, place)
        else:
            ray.util.remove_placement_group(group)
            for run in runs:
                if not run.ended.exists():
                    _together(ray, plan, run, count, told, place, wait)
    return plan.record(examples)


@contextlib.contextmanager
def _ray(count, address):
    """Ray, connected; what was started here is stopped."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of progress differ in numbers alone: Ray would swallow them
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        import ray
        import ray.train
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise TrainingError("several workers need Ray: pip install 'cnnbook[cluster]'") from error
    if ray.is_initialized():
        yield ray
        return
    here = {"num_cpus": max(count, os.cpu_count() or 1), "include_dashboard": False}
    try:
        ray.init(address or "local", logging_level="warning", **({} if address else here))
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise TrainingError(f"no Ray cluster answers at {address}: {error}" if address else f"Ray did not start: {error}"
                            ) from error  # fmt: skip
    try:
        yield ray
    finally:
        ray.shutdown()


def _came(ray, count, wait):
    """Room for the workers, on as many machines as there are. Raises TrainingError when it is not there in time."""
    group = ray.util.placement_group([_needs(ray, count)] * count, strategy="SPREAD")
    if not group.wait(wait):
        ray.util.remove_placement_group(group)
        free = ray.available_resources()
        raise TrainingError(
            f"{count} workers were asked for, and after {wait:g} s there is room for {int(free.get('CPU', 0))} "
            f"(a CPU each; {len(ray.nodes())} machines). Give fewer --workers, or let more machines join the cluster"
        )
    return group


def _needs(ray, count):
    """What a worker takes: a processor and, where there are accelerators, its part of them."""
    gpus = ray.cluster_resources().get("GPU", 0)
    return {"CPU": 1} | ({"GPU": min(1, gpus / count)} if gpus else {})


def _environment(ray, count):
    """Ray's runtime_env of a worker: this process' backend and folders, and its part of a machine's cores."""
    machines = len(ray.nodes())
    cores = str(max(1, int(ray.cluster_resources().get("CPU", 1) // max(count, machines))))
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")  # PyTorch's, TensorFlow's, JAX's
    ours = {key: value for key, value in os.environ.items() if key.startswith("CNNBOOK_")}
    return {"env_vars": ours | {"KERAS_BACKEND": backend.name()} | {key: os.environ.get(key, cores) for key in threads}}


@contextlib.contextmanager
def _sigterm():
    """Within the block SIGTERM raises Stopped; Ray has a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum, frame):
        raise Stopped(143)

    usual = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def _at_home(plan, place):
    """In a worker's process: be where the program was called, and see the plan's folder."""
    if os.path.isdir(place["folder"]):
        os.chdir(place["folder"])
    sys.path += [entry for entry in place["path"] if entry not in sys.path]
    if not plan.home.is_dir():
        raise TrainingError(f"{plan.home} is not on this worker's machine: choose an --out that all machines share")


def _a_seed_each(ray, group, plan, runs, told, place):
    """Each seed in a process of its own, as many at a time as there are workers."""
    within = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    needs, workers = group.bundle_specs[0], len(group.bundle_specs)
    task = ray.remote(_one_seed).options(num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), max_retries=RESTARTS,
                                         scheduling_strategy=within, runtime_env=_environment(ray, workers))  # fmt: skip
    seeds = {task.remote(plan, run.seed, told, place): run.seed for run in runs}
    waiting, failed = list(seeds), {}
    try:
        while waiting:
            done, waiting = ray.wait(waiting, timeout=1.0)
            for each in done:
                try:
                    ray.get(each)
                except ray.exceptions.RayError as error:
                    failed[seeds[each]] = getattr(error, "cause", None) or error
    except BaseException:  # Ctrl-C, SIGTERM
        for each in waiting:
            ray.cancel(each)
        ray.wait(waiting, num_returns=len(waiting) or 1) if waiting else None  # each saves its last step
        raise
    if failed:
        why = "; ".join(f"seed {seed}: {_words(error)}" for seed, error in sorted(failed.items()))
        good = len(runs) - len(failed)
        raise TrainingError(f"{why}. {f'The other {good} have ended' if good else 'None has ended'}; go on by --resume"
                            ) from next(iter(failed.values()))  # fmt: skip


def _words(error):
    return str(error) if isinstance(error, TrainingError | ValueError) else f"{type(error).__name__}: {error}"


def _one_seed(plan, seed, told, place):
    _at_home(plan, place)
    plan.run(seed, plan.examples()).train(**told)


# One run over several workers -----------------------------------------------------------------------------------------


def _together(ray, plan, run, count, told, place, wait):
    """One seed's run, shared by all workers."""
    import ray.train

    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(wait)
    stop = run.folder / "stop"
    with disk(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        stop.unlink(missing_ok=True)
    needs = _needs(ray, count)
    trainer = _BACKENDS[backend.name()][0]()(
        _share,
        train_loop_config={"plan": plan, "seed": run.seed, "told": told, "place": place},
        scaling_config=ray.train.ScalingConfig(num_workers=count, use_gpu="GPU" in needs, resources_per_worker=needs),
        run_config=ray.train.RunConfig(
            name=f"seed-{run.seed}",
            storage_path=str(plan.home / "ray"),
            failure_config=ray.train.FailureConfig(max_failures=RESTARTS, controller_failure_limit=0),
            worker_runtime_env=_environment(ray, count),
        ),
    )
    asked, pool = None, concurrent.futures.ThreadPoolExecutor(1)
    going = pool.submit(trainer.fit)  # in a thread: in the main one Ray takes Ctrl-C, and kills what is not saved
    try:
        while True:
            try:
                trouble = going.result().return_value
                break
            except (KeyboardInterrupt, Stopped) as stopped:
                if asked:
                    raise
                asked = stopped
                stop.touch()
    except ray.train.TrainingFailedError as error:
        raise TrainingError(f"{run.title}: its workers failed {RESTARTS + 1} times: {error}; go on by --resume") from error
    finally:
        pool.shutdown(wait=False)
        stop.unlink(missing_ok=True)
    if asked:
        raise asked
    if trouble:
        raise TrainingError(trouble)


class _Ended(Exception):
    """Worker 0 has ended the run."""


class Share(fit.Fit):
    """One worker's part of a run. What it is a part of is set once in the worker's process."""

    rank, count, stop, begun = 0, 1, None, False
    mean = attach = None  # the mean over all workers of some numbers; what makes a model's gradients such means

    def __init__(self, *args):
        super().__init__(*args)
        self.attach(self.model)

    def _places(self, n):
        index, epoch = super()._places(n)
        return index[self.rank :: self.count], epoch[self.rank :: self.count]

    def _batch(self, n, index, epoch):
        return super()._batch(n * self.count + self.rank, index, epoch)  # random numbers of its own

    def train(self, step, after):
        if self.rank == 0:  # the others start from its checkpoint
            if not after.run.checkpoints():
                after.run.save(self, after.state)
            _say(step)
            Share.begun = True
        super().train(step, functools.partial(self._step, after))

    def _step(self, after, step, curves=None, loss=None):
        """Behind each step: worker 0 does what a run does, and all hear whether it goes on."""
        if curves:
            names = [name for name in curves if name not in self.metrics]
            curves |= zip(names, map(float, self.mean([curves[name] for name in names])), strict=True)
        elif loss is not None:
            loss = float(self.mean([loss])[0])
        ended = None
        if self.rank == 0:
            if self.stop.exists():
                after.asked.append(signal.SIGINT)
            try:
                after(step, curves, loss)
            except BaseException as reason:
                ended = reason
        if self.mean([float(ended is not None)])[0]:
            raise ended or _Ended

    def measure(self):
        return super().measure() if self.rank == 0 else {}


def _share(config):
    """In each worker's process: its part of the run. Worker 0 returns what went wrong, in words, or None."""
    from ray.train import get_context

    plan, seed = config["plan"], config["seed"]
    _at_home(plan, config["place"])
    Share.rank, Share.count = get_context().get_world_rank(), get_context().get_world_size()
    Share.mean, Share.attach = map(staticmethod, _BACKENDS[backend.name()][1]())
    run = plan.run(seed, plan.examples())
    Share.stop = run.folder / "stop"
    run.recipe = run.recipe.changed(run=f"{__name__}.Share")  # run.plan, which checkpoints hold, keeps the recipe's own
    if Share.rank == 0:
        try:
            run.train(**config["told"])
        except (TrainingError, ValueError, data.DataError, KeyboardInterrupt) as problem:
            if not Share.begun:
                _say(None)
            return None if isinstance(problem, KeyboardInterrupt) else str(problem)
    elif (step := _say(None)) is not None:
        with contextlib.suppress(_Ended):
            _follow(run, step)


def _follow(run, step):
    """What a worker other than the first does: the same steps, from the same checkpoint, by random numbers of its own."""
    keras.utils.set_random_seed(run.seed)
    learner = Share(run.plan["settings"], run.examples, run.recipe.steps, run.recipe.every, run.seed)
    found = run._restored(learner)["step"]
    if found != step:
        raise TrainingError(f"worker {Share.rank} found a checkpoint of step {found} in {run.folder}, worker 0 one of "
                            f"step {step}: the workers need one folder that all of them share")  # fmt: skip
    keras.utils.set_random_seed((run.seed + 1000003 * Share.rank + step) % 2**32)
    learner._waiting = learner._waiting[: 1 + int(learner._waiting[0])]  # the means, without worker 0's dice
    for variable in learner.model.variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(variable + np.array([Share.rank, 0], variable.dtype))
    learner.train(step, lambda *args, **curves: None)


def _say(step):
    """What worker 0 says to all: the step to start from, or None when it cannot start."""
    from ray.train.collective import broadcast_from_rank_zero

    return broadcast_from_rank_zero({"step": step})["step"]


def _torch():
    import torch
    from ray.train.torch import get_device
    from torch.nn.parallel import DistributedDataParallel

    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)

    def mean(values):
        total = torch.as_tensor(np.asarray(values, "float64"), device=device)
        torch.distributed.all_reduce(total)
        return (total / torch.distributed.get_world_size()).cpu().numpy()

    class Through:
        """A Keras model whose call goes through DistributedDataParallel, for its own training step."""

        def __init__(self, model):
            self.__dict__ |= {"model": model, "parallel": DistributedDataParallel(model)}

        def __call__(self, x, training=None):
            return self.parallel(x, training=training)

        def __getattr__(self, name):
            return getattr(self.model, name)

    def attach(model):
        object.__setattr__(model, "train_step", functools.partial(type(model).train_step, Through(model)))

    return mean, attach


def _torch_trainer():
    from ray.train.torch import TorchTrainer

    return TorchTrainer


_BACKENDS = {"torch": (_torch_trainer, _torch)}
