"""TFLite files of a few operators, written with flatbuffers and the schema's own builders."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9}


def model(
    operators: list[tuple[str, str, str, tuple[str, dict[str, Any]] | None]],
    inputs: dict[str, tuple[Any, ...]],
    outputs: dict[str, tuple[Any, ...]],
    constants: dict[str, np.ndarray] | None = None,
    *,
    types: dict[str, str] | None = None,
    scales: dict[str, tuple[Any, ...]] | None = None,
    custom_options: bytes = b"",
    sparse: dict[str, tuple[Any, ...]] | None = None,
) -> bytes:
    """operators: (name or "custom:NAME", inputs, outputs, (table of options, fields) or None).

    inputs, outputs: name -> shape, None for a free size. types: dtypes that are not float32. scales: name ->
    (scales, zero points, axis). sparse: name -> (dense shape, traversal order, [(size,) or (segments,
    indices)]); the constant of that name holds the values.
    """
    builder = flatbuffers.Builder(1024)
    constants, types, scales, sparse = constants or {}, types or {}, scales or {}, sparse or {}
    names = list(dict.fromkeys([*inputs, *constants]))
    for _, _, made, _ in operators:
        names += [name for name in made.split() if name not in names]
    number = {name: place for place, name in enumerate(names)}

    def vector(values: Any, dtype: Any) -> int:
        return int(builder.CreateNumpyVector(np.ascontiguousarray(values, dtype)))

    def tables(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    buffers = []
    places: dict[str, int] = {}
    for name in [None, *constants]:
        data = None if name is None else vector(np.frombuffer(constants[name].tobytes(), np.uint8), np.uint8)
        tflite.BufferStart(builder)
        if data is not None:
            tflite.BufferAddData(builder, data)
        if name is not None:
            places[name] = len(buffers)
        buffers.append(tflite.BufferEnd(builder))

    def sparsity(name: str) -> int:
        _, order, levels = sparse[name]
        metas = []
        for level in levels:
            parts = []
            if len(level) == 2:
                for values in level:
                    held = vector(values, np.int32)
                    tflite.Int32VectorStart(builder)
                    tflite.Int32VectorAddValues(builder, held)
                    parts.append(tflite.Int32VectorEnd(builder))
            tflite.DimensionMetadataStart(builder)
            if parts:
                tflite.DimensionMetadataAddFormat(builder, 1)
                tflite.DimensionMetadataAddArraySegmentsType(builder, 1)
                tflite.DimensionMetadataAddArraySegments(builder, parts[0])
                tflite.DimensionMetadataAddArrayIndicesType(builder, 1)
                tflite.DimensionMetadataAddArrayIndices(builder, parts[1])
            else:
                tflite.DimensionMetadataAddDenseSize(builder, level[0])
            metas.append(tflite.DimensionMetadataEnd(builder))
        traversal, dims = vector(order, np.int32), tables(metas)
        tflite.SparsityParametersStart(builder)
        tflite.SparsityParametersAddTraversalOrder(builder, traversal)
        tflite.SparsityParametersAddDimMetadata(builder, dims)
        return int(tflite.SparsityParametersEnd(builder))

    tensors = []
    for name in names:
        array = constants.get(name)
        known = array.shape if array is not None else {**inputs, **outputs}.get(name, ())
        known = sparse[name][0] if name in sparse else known
        title = builder.CreateString(name)
        shape = vector([1 if size is None else size for size in known], np.int32)
        free = vector([-1 if size is None else size for size in known], np.int32)
        quantization = spare = None
        if name in scales:
            scale, zero = vector(scales[name][0], np.float32), vector(scales[name][1], np.int64)
            tflite.QuantizationParametersStart(builder)
            tflite.QuantizationParametersAddScale(builder, scale)
            tflite.QuantizationParametersAddZeroPoint(builder, zero)
            tflite.QuantizationParametersAddQuantizedDimension(builder, scales[name][2])
            quantization = tflite.QuantizationParametersEnd(builder)
        if name in sparse:
            spare = sparsity(name)
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        if None in known:
            tflite.TensorAddShapeSignature(builder, free)
        dtype = str(array.dtype) if array is not None else types.get(name, "float32")
        tflite.TensorAddType(builder, TYPES[dtype])
        tflite.TensorAddBuffer(builder, places.get(name, 0))
        tflite.TensorAddName(builder, title)
        if quantization is not None:
            tflite.TensorAddQuantization(builder, quantization)
        if spare is not None:
            tflite.TensorAddSparsity(builder, spare)
        tensors.append(tflite.TensorEnd(builder))

    codes, nodes = [], []
    for name, read, made, options in operators:
        custom = builder.CreateString(name[7:]) if name.startswith("custom:") else None
        code = 32 if custom is not None else getattr(tflite.BuiltinOperator, name)
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddBuiltinCode(builder, code)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, 127))
        tflite.OperatorCodeAddVersion(builder, 1)
        if custom is not None:
            tflite.OperatorCodeAddCustomCode(builder, custom)
        codes.append(tflite.OperatorCodeEnd(builder))
        held = None
        if options is not None:
            table, fields = options
            vectors = {
                key: vector(value, np.int32) if isinstance(value, list) else value
                for key, value in fields.items()
            }
            getattr(tflite, f"{table}Start")(builder)
            for key, value in vectors.items():
                getattr(tflite, f"{table}Add{key}")(builder, value)
            held = getattr(tflite, f"{table}End")(builder)
        sides = [
            vector([-1 if name == "-" else number[name] for name in text.split()], np.int32)
            for text in (read, made)
        ]
        extra = vector(np.frombuffer(custom_options, np.uint8), np.uint8) if custom is not None else None
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, len(codes) - 1)
        tflite.OperatorAddInputs(builder, sides[0])
        tflite.OperatorAddOutputs(builder, sides[1])
        if held is not None and options is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, options[0]))
            tflite.OperatorAddBuiltinOptions(builder, held)
        if extra is not None:
            tflite.OperatorAddCustomOptions(builder, extra)
        nodes.append(tflite.OperatorEnd(builder))

    parts = [tables(tensors), tables(nodes)]
    ends = [vector([number[name] for name in side], np.int32) for side in (inputs, outputs)]
    title = builder.CreateString("tiny")
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, parts[0])
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    tflite.SubGraphAddOperators(builder, parts[1])
    tflite.SubGraphAddName(builder, title)
    graphs, codes_at, buffers_at = tables([tflite.SubGraphEnd(builder)]), tables(codes), tables(buffers)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes_at)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers_at)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
