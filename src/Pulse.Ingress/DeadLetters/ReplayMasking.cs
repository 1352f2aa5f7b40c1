using System.Text.Json;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Ingress.DeadLetters;

/// <summary>What the worker says of a replay quotes exceptions and types of messages: masked like the letters' own, wherever it is told.</summary>
static class ReplayMasking
{
    public static ReplayState Of(ReplayState state) => state with { Plan = Of(state.Plan) };

    public static ReplayPlan Of(ReplayPlan plan) => plan with
    {
        Groups = [.. plan.Groups.Select(group => group with
        {
            MessageType = Masking.TypeName(group.MessageType),
            ExceptionType = Masking.TypeName(group.ExceptionType),
        })],
    };

    public static PreviewResult Of(PreviewResult preview) => preview with
    {
        Outcomes = [.. preview.Outcomes.Select(outcome => outcome with
        {
            ExceptionType = Masking.TypeName(outcome.ExceptionType),
            Published = outcome.Published?.GroupBy(type => Masking.TypeName(type.Key)!).ToDictionary(types => types.Key, types => types.Sum(type => type.Value)),
        })],
    };

    public static EditResult Of(EditResult edit) => edit with { Changed = [.. edit.Changed.Select(FieldMasking.Path)] };

    /// <summary>The result of an operation of this kind, as <c>GET /api/admin/operations/{id}</c> may tell it.</summary>
    public static JsonElement Of(string kind, JsonElement result) => kind switch
    {
        DeadLetterOperations.Preview => JsonSerializer.SerializeToElement(Of(result.Deserialize(DeadLetterJson.Default.PreviewResult)!), DeadLetterJson.Default.PreviewResult),
        DeadLetterOperations.Edit => JsonSerializer.SerializeToElement(Of(result.Deserialize(DeadLetterJson.Default.EditResult)!), DeadLetterJson.Default.EditResult),
        DeadLetterOperations.Plan or DeadLetterOperations.Start or DeadLetterOperations.Pause or DeadLetterOperations.Resume or DeadLetterOperations.Cancel =>
            JsonSerializer.SerializeToElement(Of(result.Deserialize(DeadLetterJson.Default.ReplayState)!), DeadLetterJson.Default.ReplayState),
        _ => result,
    };
}
