using System.Text.Json.Serialization;

namespace Pulse.Ingress.Hooks;

[JsonSerializable(typeof(HookReceipt))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
sealed partial class HookJson : JsonSerializerContext;
