using System.Text.Json;

namespace Pulse.Tests.Signups;

/// <summary>What the tests read out of an answer.</summary>
static class Answers
{
    /// <summary>The body, which must be JSON.</summary>
    public static async Task<JsonElement> Json(this HttpResponseMessage answer) =>
        JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsByteArrayAsync());

    /// <summary>A header, or null.</summary>
    public static string? Header(this HttpResponseMessage answer, string name) =>
        answer.Headers.TryGetValues(name, out var values) ? string.Join(",", values) : null;

    /// <summary>The id that a 202 gives.</summary>
    public static async Task<Guid> SignupId(this HttpResponseMessage answer)
    {
        Assert.Equal(202, (int)answer.StatusCode);
        return (await answer.Json()).GetProperty("signup_id").GetGuid();
    }

    /// <summary>Checks that it is a whole problem of this status and code, and returns it.</summary>
    public static async Task<JsonElement> IsProblem(this HttpResponseMessage answer, int status, string code)
    {
        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        Assert.Equal("nosniff", answer.Header("X-Content-Type-Options"));
        Assert.Contains("no-store", answer.Header("Cache-Control"), StringComparison.Ordinal);

        var problem = await answer.Json();
        Assert.Equal(code, problem.GetProperty("code").GetString());
        Assert.Equal($"urn:pulse:problem:{code}", problem.GetProperty("type").GetString());
        Assert.Equal(status, problem.GetProperty("status").GetInt32());
        Assert.NotEmpty(problem.GetProperty("title").GetString()!);
        Assert.NotEmpty(problem.GetProperty("detail").GetString()!);
        Assert.NotEmpty(problem.GetProperty("trace_id").GetString()!);
        return problem;
    }
}
