using System.Text.Json;
using System.Text.Json.Serialization;
using Pulse.Contracts.DeadLetters;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.DeadLetters;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Page<DeadLetterItem>))]
[JsonSerializable(typeof(Page<DeadLetterGroup>))]
[JsonSerializable(typeof(Page<Replay>))]
[JsonSerializable(typeof(DeadLetterDetail))]
[JsonSerializable(typeof(RevealedDeadLetter))]
[JsonSerializable(typeof(Replay))]
[JsonSerializable(typeof(DeadLetterFilter))]
[JsonSerializable(typeof(PlanRequest))]
[JsonSerializable(typeof(PreviewRequest))]
[JsonSerializable(typeof(StartRequest))]
[JsonSerializable(typeof(SelectionRequest))]
[JsonSerializable(typeof(EditRequest))]
[JsonSerializable(typeof(EditBody))]
[JsonSerializable(typeof(ReplayState))]
[JsonSerializable(typeof(ReplayPlan))]
[JsonSerializable(typeof(PreviewResult))]
[JsonSerializable(typeof(SelectionResult))]
[JsonSerializable(typeof(EditResult))]
[JsonSerializable(typeof(RevealResult))]
[JsonSerializable(typeof(FollowedReplay))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
sealed partial class DeadLetterJson : JsonSerializerContext;
