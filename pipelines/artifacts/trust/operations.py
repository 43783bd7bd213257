"""Which operations of TensorFlow compute, and which reach files, processes, the network or Python.

The register of operations says of each whether it is stateful: whether it keeps or changes anything but its outputs.
Three lists complete that:

- `_REACHING` names what is refused whatever the register says. Some of it is registered as stateless: `ReadFile`,
  `ImmutableConst`, which maps a file into memory, `DebugIdentity`, `PyFuncStateless`, `Abort`.
- `_IN_MEMORY` names the stateful operations that are allowed, since all that they keep is in the memory of the process:
  variables, tables, queues, random generators, iterators over data in memory, control flow.
- `_TELLING` is a net below the first: an operation of a later TensorFlow, or of a library that was loaded into it, that
  takes the path of a file or an address is refused even if nobody put it on a list.

All other stateful operations are refused, and so are those that this TensorFlow does not know. What is allowed with
some arguments only is in :mod:`pipelines.artifacts.trust.saved_model`.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = ["reach_of"]

_REACHING = {
    "calls Python": r"(Eager)?PyFunc(Stateless)?|GeneratorDataset",
    "reads files": (
        r"ReadFile|\w*MatchingFiles(Dataset)?|ImmutableConst|RecordInput|Skipgram|NegTrain|LoadAndRemapMatrix|"
        r"GenerateVocabRemapping|(DTensor)?Restore(V2|Slice)?|InitializeTableFromTextFile(V2)?|"
        r"Reader\w+|\w+Reader(V2)?|(TextLine|TFRecord|FixedLengthRecord)Dataset(V2)?|(Experimental)?CSVDataset(V2)?|"
        r"(Experimental)?(Sql|LMDB)Dataset|LoadDataset|ListSnapshotChunksDataset|SnapshotChunkDataset|"
        r"Snapshot(Nested)?DatasetReader"
    ),
    "writes files": (
        r"WriteFile|Save(V2|Slices)?|MergeV2Checkpoints|SaveDataset(V2)?|(Experimental)?DatasetToTFRecord|"
        r"DistributedSave|SnapshotDataset(V2)?|Write\w*Summary|\w*SummaryWriter|CreateSummary\w+|ImportEvent|DumpTensor|"
        r"CalibrationStatisticsSaver"
    ),
    "keeps data in a file": r"CacheDataset(V2)?",
    "writes to a file": r"PrintV2",
    "reads the file of a vocabulary": r"FixedUnigramCandidateSampler",
    "reads a file of types": r"DecodeProtoV2|EncodeProto",
    "sends what passes to a debugger, over the network or into files": (
        r"DebugIdentity(V\d)?|DebugNan\w*|DebugNumeric\w*|Copy(Host)?"
    ),
    "reaches other processes or machines": (
        r"Rpc\w+|DataService\w+|RegisterDataset(V2)?|_?(Host)?(Send|Recv)|Collective\w+|_?Nccl\w+|RemoteCall|"
        r"WorkerHeartbeat|\w*(DistributedTPU|TPUSystem|GlobalTPU)\w*|TPUPartitionedCall|_?Xla(Send|Recv|HostCompute)\w*"
    ),
    "runs code that cannot be looked through": (
        r"XlaCallModule|XlaCustomCall(V2)?|MlirPassthroughOp|_TPUCompileMlir|TPUCompile|TPUExecute\w*|DatasetFromGraph"
    ),
    "changes how files are reached": r"FileSystemSetConfiguration",
    "ends the process": r"Abort",
}
"""What operations do, in words, and patterns of their whole names."""

_IN_MEMORY = re.compile(
    "|".join(
        [
            # Variables, and optimizers that change them.
            r"Variable(V2)?|VarHandleOp|_VarHandlesOp|TemporaryVariable|ReadVariableOp|_ReadVariablesOp|VariableShape",
            r"VarIsInitializedOp|Assign(Add|Sub)?VariableOp|DestroyResourceOp|DisableCopyOnRead|ResourceCountUpTo",
            r"Resource(Sparse)?Apply\w+|ResourceScatter\w+|ResourceGather(Nd)?|ResourceStridedSliceAssign",
            r"ReadVariableXlaSplitND|AssignVariableXlaConcatND|IsResourceHandleRefCounting|MakeWeakResourceHandle",
            # Tables.
            r"(Anonymous)?(Mutable)?(Dense)?HashTable(OfTensors)?(V2)?|LookupTable\w+V2|InitializeTableV2",
            r"InitializeTableFromDataset",
            # Random numbers.
            r"RandomUniform(Int)?|RandomStandardNormal|(Parameterized)?TruncatedNormal|RandomGamma|RandomPoisson(V2)?",
            r"RandomShuffle|RandomCrop|Multinomial|SampleDistortedBoundingBox(V2)?|NonDeterministicInts|Rng(ReadAnd)?Skip",
            r"Stateful(RandomBinomial|(Standard|Truncated)Normal(V2)?|Uniform\w*)|StatelessRandomGetAlg",
            r"\w+CandidateSampler|AllCandidateSampler|\w*SeedGenerator",
            # Functions and control flow.
            r"StatefulPartitionedCall|_?If|Case|_?While|RiscWhile|Xla(If|While)|_(Device)?(Arg|Retval)",
            # What is said to whoever runs the model.
            r"Assert|CheckNumerics(V2)?|Print|Timestamp|GraphDefVersion|GuaranteeConst|DeviceIndex|GlobalIterId",
            r"IsTensorFloat32Enabled",
            # Data sets and iterators over what is in memory.
            r"(Sparse)?Tensor(Slice)?Dataset|RangeDataset|(Experimental)?RandomDataset(V2)?|ListDataset|ReduceDataset",
            r"Shuffle(AndRepeat)?DatasetV\d|GlobalShuffleDataset|(Experimental)?GroupByReducerDataset",
            r"DatasetToSingleElement|\w*MemoryCache|\w*IterationCounter|(Experimental)?ThreadPool(Dataset|Handle)",
            r"(Anonymous|OneShot|Make|Delete)?(MultiDevice)?Iterator(V\d)?|IteratorGet(Next\w*|Device)",
            r"(MultiDevice)?Iterator(To|From)StringHandle(V2)?|MultiDeviceIterator(GetNextFromShard|Init)",
            # Structures that hold tensors while a graph runs.
            r"TensorArray\w*|Stack(\w*V2)?|(FIFO|PaddingFIFO|Priority|RandomShuffle)Queue(V2)?|Queue\w+V2|FakeQueue",
            r"Barrier|(Ordered)?Map(Clear|IncompleteSize|Peek|Size|Stage|Unstage|UnstageNoKey)|(Un)?[Ss]tage\w*",
            r"(Sparse|Resource)?ConditionalAccumulator|ResourceAccumulator\w+|MutexV2|MutexLock|ConsumeMutexLock",
            r"Add(Many)?SparseToTensorsMap|TakeManySparseFromTensorsMap|Empty|DeepCopy|_ParallelConcatStart",
            r"_ScopedAllocator\w*|CudnnRNN\w*|(Is)?BoostedTrees\w+",
        ]
    )
)

_TELLING = re.compile(r"file|path|(^|_)(log)?dir(_|$|ectory)|(^|_)ur[il]s?(_|$)|address|memory_region|plugin|library")
"""Names of inputs and attributes that tell of a file or an address."""


@cache
def reach_of(operation: str) -> str | None:
    """Return what an operation may reach outside of the graph and of the memory of the process.

    Args:
        operation: its name.

    Returns:
        What it does, as the end of a sentence; None for one that computes.

    Example:
        >>> reach_of("MatMul"), reach_of("ReadFile"), reach_of("VarHandleOp")
        (None, 'reads files', None)
        >>> reach_of("NoSuchOperation")
        'is no operation of this TensorFlow'
    """
    from tensorflow.python.framework import op_def_registry

    for does, names in _REACHING.items():
        if re.fullmatch(names, operation):
            return does
    found = op_def_registry.get(operation)
    if found is None:
        return "is no operation of this TensorFlow"
    if _IN_MEMORY.fullmatch(operation):
        return None
    texts = [attribute.name for attribute in found.attr if attribute.type in ("string", "list(string)")]
    if any(_TELLING.search(name) for name in (*(given.name for given in found.input_arg), *texts)):
        return "takes the path of a file, or an address"
    return "keeps a state that is not known to stay in memory" if found.is_stateful else None
