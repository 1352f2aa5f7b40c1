using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pulse.Ingress.Operations;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(OperationStatus))]
[JsonSerializable(typeof(JsonElement))]
sealed partial class OperationJson : JsonSerializerContext;
