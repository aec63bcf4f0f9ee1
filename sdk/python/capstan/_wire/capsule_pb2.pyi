from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
HANDLE_ARENA: HandleType
HANDLE_INLINE: HandleType
HANDLE_NONE: HandleType
PIXEL_FORMAT_BGR: PixelFormat
PIXEL_FORMAT_GRAY8: PixelFormat
PIXEL_FORMAT_I420: PixelFormat
PIXEL_FORMAT_NV12: PixelFormat
PIXEL_FORMAT_RGB: PixelFormat
PIXEL_FORMAT_UNSPECIFIED: PixelFormat
SIZE_ALL: Size
SIZE_NONE: Size
SIZE_SINGLE: Size
SIZE_UNSPECIFIED: Size

class AnswerReady(_message.Message):
    __slots__ = ["call"]
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: int
    def __init__(self, call: _Optional[int] = ...) -> None: ...

class ArenaGone(_message.Message):
    __slots__ = ["arena"]
    ARENA_FIELD_NUMBER: _ClassVar[int]
    arena: int
    def __init__(self, arena: _Optional[int] = ...) -> None: ...

class ArenaOffer(_message.Message):
    __slots__ = ["arena", "size"]
    ARENA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    arena: int
    size: int
    def __init__(self, arena: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ["name", "values"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class AttributeValue(_message.Message):
    __slots__ = ["name", "value"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class CloseStreamReply(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class CloseStreamRequest(_message.Message):
    __slots__ = ["stream"]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    stream: int
    def __init__(self, stream: _Optional[int] = ...) -> None: ...

class ConfigureReply(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ConfigureRequest(_message.Message):
    __slots__ = ["options_json"]
    OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    options_json: str
    def __init__(self, options_json: _Optional[str] = ...) -> None: ...

class Declaration(_message.Message):
    __slots__ = ["api", "deadline_ns", "description", "entry", "every_n", "formats", "gate", "input", "metric", "name", "options", "output", "picture", "stateful", "version"]
    API_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_NS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    EVERY_N_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    STATEFUL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    api: str
    deadline_ns: int
    description: str
    entry: str
    every_n: int
    formats: _containers.RepeatedScalarFieldContainer[PixelFormat]
    gate: Gate
    input: Description
    metric: str
    name: str
    options: _containers.RepeatedCompositeFieldContainer[Option]
    output: Description
    picture: PictureSize
    stateful: bool
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., api: _Optional[str] = ..., description: _Optional[str] = ..., input: _Optional[_Union[Description, _Mapping]] = ..., output: _Optional[_Union[Description, _Mapping]] = ..., options: _Optional[_Iterable[_Union[Option, _Mapping]]] = ..., formats: _Optional[_Iterable[_Union[PixelFormat, str]]] = ..., picture: _Optional[_Union[PictureSize, _Mapping]] = ..., stateful: bool = ..., every_n: _Optional[int] = ..., deadline_ns: _Optional[int] = ..., metric: _Optional[str] = ..., entry: _Optional[str] = ..., gate: _Optional[_Union[Gate, _Mapping]] = ...) -> None: ...

class DescribeReply(_message.Message):
    __slots__ = ["declaration"]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    declaration: Declaration
    def __init__(self, declaration: _Optional[_Union[Declaration, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class Description(_message.Message):
    __slots__ = ["attributes", "detections", "encoded", "extra_data", "size", "tracked"]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    EXTRA_DATA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TRACKED_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    detections: _containers.RepeatedScalarFieldContainer[str]
    encoded: bool
    extra_data: _containers.RepeatedScalarFieldContainer[str]
    size: Size
    tracked: bool
    def __init__(self, size: _Optional[_Union[Size, str]] = ..., detections: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., encoded: bool = ..., tracked: bool = ..., extra_data: _Optional[_Iterable[str]] = ...) -> None: ...

class Encoding(_message.Message):
    __slots__ = ["values"]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class ExtraValue(_message.Message):
    __slots__ = ["json", "key"]
    JSON_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    key: str
    def __init__(self, key: _Optional[str] = ..., json: _Optional[bytes] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ["kind", "message"]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: int
    message: str
    def __init__(self, kind: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ["call"]
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: int
    def __init__(self, call: _Optional[int] = ...) -> None: ...

class FrameAnswer(_message.Message):
    __slots__ = ["call", "compute_ns", "fault", "queued_ns", "returns"]
    CALL_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_NS_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    QUEUED_NS_FIELD_NUMBER: _ClassVar[int]
    RETURNS_FIELD_NUMBER: _ClassVar[int]
    call: int
    compute_ns: int
    fault: Fault
    queued_ns: int
    returns: _containers.RepeatedCompositeFieldContainer[Return]
    def __init__(self, call: _Optional[int] = ..., returns: _Optional[_Iterable[_Union[Return, _Mapping]]] = ..., fault: _Optional[_Union[Fault, _Mapping]] = ..., queued_ns: _Optional[int] = ..., compute_ns: _Optional[int] = ...) -> None: ...

class FrameRequest(_message.Message):
    __slots__ = ["call", "captured_ns", "nodes", "picture", "pixels", "pts_ns", "seq", "stream"]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_NS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    PTS_NS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    call: int
    captured_ns: int
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    picture: Picture
    pixels: bytes
    pts_ns: int
    seq: int
    stream: int
    def __init__(self, call: _Optional[int] = ..., stream: _Optional[int] = ..., seq: _Optional[int] = ..., pts_ns: _Optional[int] = ..., captured_ns: _Optional[int] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., pixels: _Optional[bytes] = ...) -> None: ...

class FromCapsule(_message.Message):
    __slots__ = ["answer", "ready"]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    answer: FrameAnswer
    ready: AnswerReady
    def __init__(self, answer: _Optional[_Union[FrameAnswer, _Mapping]] = ..., ready: _Optional[_Union[AnswerReady, _Mapping]] = ...) -> None: ...

class Gate(_message.Message):
    __slots__ = ["at_least_ns", "hold_ns"]
    AT_LEAST_NS_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    HOLD_NS_FIELD_NUMBER: _ClassVar[int]
    at_least_ns: int
    hold_ns: int
    def __init__(self, hold_ns: _Optional[int] = ..., at_least_ns: _Optional[int] = ..., **kwargs) -> None: ...

class Node(_message.Message):
    __slots__ = ["attributes", "children", "class_name", "coords", "encoding", "extra_data", "id", "origin", "track_id"]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    COORDS_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    EXTRA_DATA_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TRACK_ID_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeValue]
    children: _containers.RepeatedCompositeFieldContainer[Node]
    class_name: str
    coords: _containers.RepeatedScalarFieldContainer[float]
    encoding: Encoding
    extra_data: _containers.RepeatedCompositeFieldContainer[ExtraValue]
    id: int
    origin: str
    track_id: str
    def __init__(self, id: _Optional[int] = ..., class_name: _Optional[str] = ..., coords: _Optional[_Iterable[float]] = ..., attributes: _Optional[_Iterable[_Union[AttributeValue, _Mapping]]] = ..., extra_data: _Optional[_Iterable[_Union[ExtraValue, _Mapping]]] = ..., encoding: _Optional[_Union[Encoding, _Mapping]] = ..., track_id: _Optional[str] = ..., children: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., origin: _Optional[str] = ...) -> None: ...

class OpenStreamReply(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class OpenStreamRequest(_message.Message):
    __slots__ = ["id", "options_json", "stream"]
    ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    id: str
    options_json: str
    stream: int
    def __init__(self, stream: _Optional[int] = ..., id: _Optional[str] = ..., options_json: _Optional[str] = ...) -> None: ...

class Option(_message.Message):
    __slots__ = ["choices", "default_json", "description", "max", "min", "name", "type"]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_JSON_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    choices: _containers.RepeatedScalarFieldContainer[str]
    default_json: str
    description: str
    max: float
    min: float
    name: str
    type: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., default_json: _Optional[str] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., choices: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ...) -> None: ...

class Patch(_message.Message):
    __slots__ = ["attributes", "encoding", "extra_data", "node", "track_id"]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    EXTRA_DATA_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    TRACK_ID_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeValue]
    encoding: Encoding
    extra_data: _containers.RepeatedCompositeFieldContainer[ExtraValue]
    node: int
    track_id: str
    def __init__(self, node: _Optional[int] = ..., attributes: _Optional[_Iterable[_Union[AttributeValue, _Mapping]]] = ..., extra_data: _Optional[_Iterable[_Union[ExtraValue, _Mapping]]] = ..., encoding: _Optional[_Union[Encoding, _Mapping]] = ..., track_id: _Optional[str] = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ["arena", "bt709", "format", "full_range", "handle", "height", "native_height", "native_width", "offsets", "rate_d", "rate_n", "strides", "width"]
    ARENA_FIELD_NUMBER: _ClassVar[int]
    BT709_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FULL_RANGE_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    NATIVE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    NATIVE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    RATE_D_FIELD_NUMBER: _ClassVar[int]
    RATE_N_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    arena: int
    bt709: bool
    format: PixelFormat
    full_range: bool
    handle: HandleType
    height: int
    native_height: int
    native_width: int
    offsets: _containers.RepeatedScalarFieldContainer[int]
    rate_d: int
    rate_n: int
    strides: _containers.RepeatedScalarFieldContainer[int]
    width: int
    def __init__(self, handle: _Optional[_Union[HandleType, str]] = ..., arena: _Optional[int] = ..., format: _Optional[_Union[PixelFormat, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., offsets: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ..., native_width: _Optional[int] = ..., native_height: _Optional[int] = ..., full_range: bool = ..., bt709: bool = ..., rate_n: _Optional[int] = ..., rate_d: _Optional[int] = ...) -> None: ...

class PictureSize(_message.Message):
    __slots__ = ["filter", "height", "max_side", "width"]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_SIDE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    filter: str
    height: int
    max_side: int
    width: int
    def __init__(self, max_side: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., filter: _Optional[str] = ...) -> None: ...

class Return(_message.Message):
    __slots__ = ["added", "fault", "kind", "node", "patches", "returned"]
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    ADDED_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIST: Return.Kind
    NODE_FIELD_NUMBER: _ClassVar[int]
    NULL: Return.Kind
    ONE: Return.Kind
    PATCHES_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    added: _containers.RepeatedCompositeFieldContainer[Node]
    fault: Fault
    kind: Return.Kind
    node: int
    patches: _containers.RepeatedCompositeFieldContainer[Patch]
    returned: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kind: _Optional[_Union[Return.Kind, str]] = ..., node: _Optional[int] = ..., returned: _Optional[_Iterable[int]] = ..., patches: _Optional[_Iterable[_Union[Patch, _Mapping]]] = ..., added: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., fault: _Optional[_Union[Fault, _Mapping]] = ...) -> None: ...

class ToCapsule(_message.Message):
    __slots__ = ["frame", "gone", "offer"]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    frame: FrameRequest
    gone: ArenaGone
    offer: ArenaOffer
    def __init__(self, frame: _Optional[_Union[FrameRequest, _Mapping]] = ..., offer: _Optional[_Union[ArenaOffer, _Mapping]] = ..., gone: _Optional[_Union[ArenaGone, _Mapping]] = ...) -> None: ...

class Size(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class PixelFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class HandleType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
