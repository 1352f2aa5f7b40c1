using System.Text.Json;
using System.Text.Json.Nodes;
using Pulse.Worker.DeadLetters;

namespace Pulse.Tests.DeadLetters;

public sealed class EditedMessageTests
{
    const string Suspend = "Pulse.Contracts.Lifecycle:SuspendOrganization";
    const string Good = """{"operationId":"01900000-0000-7000-8000-000000000000","orgId":"01900000-0000-7000-8000-000000000001","acceptedAt":"2026-11-21T12:00:00Z"}""";

    [Theory]
    [InlineData("""{"operationId":"01900000-0000-7000-8000-000000000000","orgId":"01900000-0000-7000-8000-000000000001"}""", "acceptedAt is missing")]
    [InlineData("""{"operationId":"01900000-0000-7000-8000-000000000000"}""", "orgId, acceptedAt are missing")]
    [InlineData("{}", "operationId, orgId, acceptedAt are missing")]
    [InlineData("""{"operationId":"sesame","orgId":"01900000-0000-7000-8000-000000000001","acceptedAt":"2026-11-21T12:00:00Z"}""", "operationId in it can't be read")]
    [InlineData("""{"operationId":"01900000-0000-7000-8000-000000000000","orgId":null,"acceptedAt":"2026-11-21T12:00:00Z"}""", "orgId in it can't be read")]
    [InlineData("""{"operationId":"01900000-0000-7000-8000-000000000000","orgId":{"sesame":1},"acceptedAt":"2026-11-21T12:00:00Z"}""", "orgId in it can't be read")]
    [InlineData("""{"operationId":"01900000-0000-7000-8000-000000000000","orgId":"01900000-0000-7000-8000-000000000001","acceptedAt":"2026-11-21T12:00:00Z","sesame":1}""", "A field was added")]
    public void What_its_type_can_not_be_read_from_is_refused_without_a_word_of_it(string message, string says)
    {
        var mistake = Mistake(Suspend, message);
        Assert.Contains(says, mistake, StringComparison.Ordinal);
        Assert.DoesNotContain("sesame", mistake, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Suspend, Good)]
    [InlineData(Suspend, """{"OPERATIONID":"01900000-0000-7000-8000-000000000000","orgId":"01900000-0000-7000-8000-000000000001","acceptedAt":"2026-11-21T12:00:00Z"}""")]
    [InlineData("Acme:Widget", """{"any":"thing"}""")]
    [InlineData("System.IO:FileInfo", """{"path":"/etc/passwd"}""")]
    [InlineData(null, "{}")]
    public void What_can_be_read_or_is_of_a_type_that_is_not_ours_is_taken(string? type, string message) => Assert.Null(Mistake(type, message));

    [Fact]
    public void A_field_of_a_newer_build_may_stay_and_a_text_that_must_be_there_may_not_be_null()
    {
        Assert.Null(Mistake(Suspend, Good[..^1] + ",\"newer\":2}", Good[..^1] + ",\"newer\":1}"));
        Assert.Contains("can't be read", Mistake("Pulse.Contracts.Billing:SyncStripeCustomer", """{"customerId":null}"""), StringComparison.Ordinal);
    }

    static string? Mistake(string? type, string message, string before = "{}")
    {
        var (_, parts) = EditRules.Edit(System.Text.Encoding.UTF8.GetBytes(new JsonObject { ["message"] = JsonNode.Parse(before) }.ToJsonString()), Json(message), Guid.NewGuid())!.Value;
        return EditedMessage.Mistake(type, Json(message), parts);
    }

    static JsonElement Json(string text) => JsonSerializer.Deserialize<JsonElement>(text);
}
