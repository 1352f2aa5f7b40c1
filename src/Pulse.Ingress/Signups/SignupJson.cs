using System.Text.Json.Serialization;

namespace Pulse.Ingress.Signups;

// A field that stands twice means two things to two readers: refused.
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(SignupRequest))]
[JsonSerializable(typeof(SignupAccepted))]
[JsonSerializable(typeof(SignupStatus))]
sealed partial class SignupJson : JsonSerializerContext;
