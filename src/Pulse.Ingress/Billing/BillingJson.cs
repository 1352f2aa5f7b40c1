using System.Text.Json;
using System.Text.Json.Serialization;
using Pulse.Contracts.Billing;

namespace Pulse.Ingress.Billing;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(BillingStateRequest))]
[JsonSerializable(typeof(BillingStateParts))]
[JsonSerializable(typeof(BillingOverrideRevocation))]
[JsonSerializable(typeof(BillingStateResult))]
[JsonSerializable(typeof(BillingExplanation))]
[JsonSerializable(typeof(List<TimelineSegment>))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
sealed partial class BillingJson : JsonSerializerContext;
