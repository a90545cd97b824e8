"""Training by several workers, on this machine or on a cluster, by Ray.

As many seeds as workers, or more: each seed is one worker's. Fewer seeds than workers: one seed after the other, each
of them a run that all workers share. Worker r of n takes the examples r, r + n, r + 2n, ... of every batch, the
gradients are averaged, and worker 0 is the run as run.py has it: the checkpoints that it writes are the usual ones, and
one process can go on with them. Without batch normalisation, dropout and augmentation the weights are those of one
process, but for the order in which sums are rounded. With them each worker takes the statistics of its own share, and
draws its own random numbers. A checkpoint between two points of the curves has worker 0's means of the batches since.

Ray brings the processes together and says when one is lost; what they tell each other goes by the backend's own means.
Ray Train is not used: at Ctrl-C it ends its workers before they can save, and it starts some seven processes more.
"""

from cnnbook import backend, data
from cnnbook.training import fit
from cnnbook.training.run import Stopped, TrainingError

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import re
import signal
import socket
import sys
import threading

import keras
import numpy as np

RESTARTS = 3  # times that a run goes on from its last checkpoint after a worker was lost
MEETING = datetime.timedelta(minutes=30)  # that a worker waits for another, which may be measuring


def check(plan, count, address=None):
    """Raises ValueError for what ``train`` cannot do, before anything starts."""
    if type(count) is not int or count < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {count!r}")
    if address is not None and not (isinstance(address, str) and re.fullmatch(r"auto|[\w.-]+:\d{1,5}", address)):
        raise ValueError(f"address must be HOST:PORT of a running cluster, or auto, got {address!r}")
    seeds = len(plan.seeds)
    if count <= seeds:
        return
    instead = f"give at most as many workers as seeds, {seeds}: each then trains seeds of its own"
    if plan.recipe.runner() is not fit.Fit:
        raise ValueError(f"workers: a run of {plan.recipe.run} cannot be shared by {count} workers; {instead}")
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
    if count > len(plan.seeds):
        plan = dataclasses.replace(plan, command=f"{plan.command} --workers {count}")
    plan = dataclasses.replace(plan, home=plan.home.resolve(), path=plan.path.resolve())
    examples = plan.examples()
    runs = [plan.run(seed, examples) for seed in plan.seeds]
    told = {"progress": bool(progress or (progress is None and sys.stderr.isatty())), "board": tensorboard}
    place = {"folder": os.getcwd(), "path": list(sys.path)}
    with _ray(count, address, wait) as ray, _sigterm(), _room(ray, count, wait) as group:
        for run in runs:  # not before: `fresh` throws away
            run.begin(resume, fresh)
        if count <= len(runs):
            _a_seed_each(ray, group, plan, runs, told, place)
        else:
            for run in runs:
                if not run.ended.exists():
                    _together(ray, group, plan, run, told, place)
    model = None
    if plan.recipe.weights and not plan.short:  # its first seed's, which the record keeps, from the last checkpoint
        with backend.randomness_kept():
            model = getattr(runs[0].train(progress=False), "model", None)
    return plan.record(examples, model)


@contextlib.contextmanager
def _ray(count, address, wait):
    """Ray, connected; what was started here is stopped."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of progress differ in numbers alone: Ray would swallow them
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise TrainingError("several workers need Ray: pip install 'cnnbook[cluster]'") from error
    if ray.is_initialized():
        yield ray
        return
    if address not in (None, "auto"):
        host, port = address.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=wait).close()
        except (OSError, OverflowError) as error:  # Ray itself would try for many minutes
            raise TrainingError(f"no Ray cluster answers at {address}: {error}") from error
    here = {"num_cpus": max(count, os.cpu_count() or 1), "include_dashboard": False}
    with sigterm_given_back():
        try:
            ray.init(address or "local", logging_level="warning", **({} if address else here))
        except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
            what = f"no Ray cluster answers at {address}" if address else "Ray did not start"
            raise TrainingError(f"{what}: {error}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def sigterm_given_back():
    """Ray leaves its handler of SIGTERM behind: a later training in this process would end without being saved."""
    usual = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and usual is not None:  # None: not Python's
            signal.signal(signal.SIGTERM, usual)


@contextlib.contextmanager
def _room(ray, count, wait):
    """Room for the workers, on as many machines as there are. Raises TrainingError when it is not there in time."""
    group = ray.util.placement_group([_needs(ray, count)] * count, strategy="SPREAD")
    try:
        if not group.wait(wait):
            free = ray.available_resources()
            raise TrainingError(
                f"{count} workers were asked for, and after {wait:g} s there is room for {int(free.get('CPU', 0))} "
                f"(a CPU each; {len(ray.nodes())} machines). Give fewer --workers, or let more machines join it"
            )
        yield group
    finally:
        ray.util.remove_placement_group(group)


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
    task = ray.remote(_one_seed).options(
        num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), max_retries=RESTARTS, scheduling_strategy=within,
        runtime_env=_environment(ray, workers),
    )  # fmt: skip
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
        if waiting:
            ray.wait(waiting, num_returns=len(waiting))  # each saves its last step
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


def _together(ray, group, plan, run, told, place):
    """One seed's run, shared by all workers; when one of them is lost, all start again from the last checkpoint."""
    needs, count = group.bundle_specs[0], len(group.bundle_specs)
    environment, within = _environment(ray, count), ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy

    def start(function, rank, *arguments):
        last = {"max_calls": 1} if function is _share else {}  # a process joins one group of workers in its life
        return ray.remote(
            num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), max_retries=0, runtime_env=environment,
            scheduling_strategy=within(group, rank), **last,
        )(function).remote(*arguments)  # fmt: skip

    for _ in range(RESTARTS + 1):
        addresses = ray.get([start(_address, r) for r in range(count)])
        waiting = tasks = [start(_share, r, plan, run.seed, told, place, r, addresses) for r in range(count)]
        trouble = lost = None
        try:
            while waiting and not (trouble or lost):
                done, waiting = ray.wait(waiting, timeout=1.0)
                for each in done:
                    try:
                        trouble = ray.get(each) or trouble
                    except ray.exceptions.RayError as error:
                        lost = getattr(error, "cause", None) or error
        except (KeyboardInterrupt, Stopped):
            ray.cancel(tasks[0])  # worker 0 saves its last step and tells the others
            ray.wait(tasks[:1])
            ray.wait(tasks, num_returns=count, timeout=5.0)
            raise
        if waiting:  # most end by themselves; Ray itself may fail when it is to stop a task that ends just then
            for each in ray.wait(waiting, num_returns=len(waiting), timeout=5.0)[1]:
                ray.cancel(each, force=True)
        if trouble:
            raise TrainingError(trouble)
        if not lost:
            return
        print(f"{run.title}: a worker was lost ({_words(lost)}); again from the last checkpoint", file=sys.stderr)
    raise TrainingError(f"{run.title}: a worker was lost {RESTARTS + 1} times, at last by {_words(lost)}; "
                        "go on by --resume") from lost  # fmt: skip


def _address():
    """Where this worker can be met: its machine's address and a free port."""
    import ray

    with socket.create_server(("", 0)) as free:
        return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"


class _Ended(Exception):
    """Worker 0 has ended the run."""


class Share(fit.Fit):
    """One worker's part of a run. What it is a part of is set once in the worker's process."""

    rank, count = 0, 1
    mean = attach = None  # the mean over all workers of some numbers; what makes a model's gradients such means

    def _places(self, n):
        index, epoch = super()._places(n)
        return index[self.rank :: self.count], epoch[self.rank :: self.count]

    def _batch(self, n, index, epoch):
        return super()._batch(n * self.count + self.rank, index, epoch)  # random numbers of its own

    def train(self, step, after):
        if self.rank == 0:  # the others start from its checkpoint
            if not after.run.checkpoints():
                after.run.save(self, after.state)
            self.mean([step])
        if step < self.steps:
            self.attach(self.model)
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
            try:
                after(step, curves, loss)
            except BaseException as reason:
                ended = reason
        if self.mean([float(ended is not None)])[0]:
            raise ended or _Ended

    def measure(self, score=None):
        return super().measure(score) if self.rank == 0 else {}


def _share(plan, seed, told, place, rank, addresses):
    """In each worker's process: its part of the run. Returns what worker 0 could not do, in words, or None."""
    _at_home(plan, place)
    Share.rank, Share.count = rank, len(addresses)
    Share.mean, Share.attach = map(staticmethod, _BACKENDS[backend.name()](rank, addresses))
    run = plan.run(seed, plan.examples())
    run.recipe = run.recipe.changed(run=f"{__name__}.Share")  # run.plan, which checkpoints hold, keeps the recipe's own
    if rank:
        with contextlib.suppress(_Ended):
            _follow(run)
        return None
    try:
        run.train(**told)
    except (TrainingError, ValueError, data.DataError) as problem:
        return str(problem)


def _follow(run):
    """What the other workers do: the same steps from the same checkpoint, by random numbers of their own."""
    keras.utils.set_random_seed(run.seed)
    learner = Share(run.plan["settings"], run.examples, run.recipe.steps, run.recipe.every, run.seed)
    step = round(float(Share.mean([0])[0]) * Share.count)  # worker 0 adds its own: its checkpoint is there
    found = (run._restored(learner) or {"step": None})["step"]
    if found != step:
        raise TrainingError(f"worker {Share.rank} finds step {found} in {run.folder}, worker 0 step {step}: they need "
                            "a folder that all of them share")  # fmt: skip
    keras.utils.set_random_seed((run.seed + 1000003 * Share.rank + step) % 2**32)
    learner._waiting = learner._waiting[: 1 + int(learner._waiting[0])]  # the means, without worker 0's dice
    for variable in learner.model.variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(keras.ops.convert_to_numpy(variable) + np.array([Share.rank, 0], "uint32"))
    learner.train(step, lambda *step, **curves: None)


# Each of these, called once in a worker's process, returns Share's mean and attach.


def _torch(rank, addresses):
    import torch
    from torch.nn.parallel import DistributedDataParallel

    cuda = torch.cuda.is_available()
    kind, device = ("nccl", "cuda") if cuda else ("gloo", "cpu")
    torch.distributed.init_process_group(kind, f"tcp://{addresses[0]}", rank=rank, world_size=len(addresses),
                                         timeout=MEETING)  # fmt: skip

    def mean(values):
        total = torch.as_tensor(np.asarray(values, "float64"), device=device)
        torch.distributed.all_reduce(total)
        return (total / len(addresses)).cpu().numpy()

    class Through:
        """A Keras model, called through DistributedDataParallel by its own training step."""

        def __init__(self, model):
            self.__dict__ |= {"model": model, "parallel": DistributedDataParallel(model)}

        def __call__(self, x, training=None):
            return self.parallel(x, training=training)

        def __getattr__(self, name):
            return getattr(self.model, name)

    def attach(model):
        object.__setattr__(model, "train_step", functools.partial(type(model).train_step, Through(model)))

    return mean, attach


def _tensorflow(rank, addresses):
    import tensorflow as tf

    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})
    strategy = tf.distribute.MultiWorkerMirroredStrategy()

    def over_all(values):
        one = lambda v: tf.distribute.get_replica_context().all_reduce("MEAN", tf.identity(v))
        return strategy.run(one, (values,))

    of_numbers = tf.function(over_all, input_signature=[tf.TensorSpec([None], "float64")])

    def mean(values):
        return of_numbers(np.asarray(values, "float64")).numpy()

    def attach(model):
        """Its optimiser applies the mean of all workers' gradients; XLA knows no such mean."""
        model.jit_compile = False
        apply = model.optimizer.apply

        def apply_mean(gradients, variables=None):
            there = [tf.convert_to_tensor(g) for g in gradients if g is not None]
            flat = over_all(tf.concat([tf.reshape(tf.cast(g, "float32"), [-1]) for g in there], 0))
            parts = iter(tf.split(flat, [g.shape.num_elements() for g in there]))
            means = [g if g is None else tf.cast(tf.reshape(next(parts), g.shape), g.dtype) for g in gradients]
            return apply(means, variables)

        object.__setattr__(model.optimizer, "apply", apply_mean)

    return mean, attach


def _jax(rank, addresses):
    import jax
    from jax.experimental import multihost_utils
    from jax.flatten_util import ravel_pytree

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(addresses[0], len(addresses), rank)

    def mean(values):
        return np.asarray(multihost_utils.process_allgather(np.asarray(values, "float32"))).mean(0)

    def attach(model):
        """Keras' training step in two parts: the gradients of this worker's share, and what their mean does."""
        if type(model).train_step is not keras.Model.train_step:
            raise ValueError("workers: a network with a training step of its own cannot be shared on JAX")
        loss_of = functools.partial(model.compute_loss_and_updates, training=True)
        shares = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
        apply = jax.jit(model.optimizer.stateless_apply)
        measured = jax.jit(model._update_metrics_variables)

        def step(state, batch):
            weights, others, moments, metrics = state
            x, y = batch[:2]
            (_, (loss, outputs, others, metrics)), gradients = shares(weights, others, metrics, x, y, None,
                                                                      optimizer_variables=moments)  # fmt: skip
            flat, shaped = ravel_pytree(gradients)
            weights, moments = apply(moments, shaped(jax.numpy.asarray(mean(flat), flat.dtype)), weights)
            logs, metrics = measured(metrics, loss, x, y, outputs, None)
            return logs, (weights, others, moments, metrics)

        model.jit_compile = False
        object.__setattr__(model, "train_step", step)

    return mean, attach


_BACKENDS = {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax}
