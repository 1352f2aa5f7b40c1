using System.Text.Json;
using System.Text.Json.Serialization;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Organization))]
[JsonSerializable(typeof(LifecycleState))]
[JsonSerializable(typeof(LifecycleRequest))]
[JsonSerializable(typeof(Page<Organization>))]
[JsonSerializable(typeof(Page<AuditEntry>))]
[JsonSerializable(typeof(DryRun))]
[JsonSerializable(typeof(PurgesConfirmed))]
[JsonSerializable(typeof(Certificate))]
[JsonSerializable(typeof(string[]))]
[JsonSerializable(typeof(JsonElement))]
sealed partial class AdminJson : JsonSerializerContext;
