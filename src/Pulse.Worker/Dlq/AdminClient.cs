using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Pulse.Worker.Dlq;

/// <summary>The admin API, as an operator's command asks it.</summary>
sealed class AdminClient(HttpClient http, TimeProvider clock, TextWriter error)
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    public static HttpClient Connect(Uri ingress, string key)
    {
        var http = new HttpClient { BaseAddress = ingress, Timeout = TimeSpan.FromSeconds(30) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return http;
    }

    /// <exception cref="RefusedException">The API says no, and why.</exception>
    /// <exception cref="HttpRequestException">It can't be reached.</exception>
    public Task<JsonNode> GetAsync(string path) => SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path));

    /// <summary>A command, followed to its end. Asked again under its key it is the same operation, so a lost answer costs nothing.</summary>
    public async Task<JsonNode> DoAsync(string path, JsonObject? body)
    {
        var (key, deadline, told) = (Guid.NewGuid().ToString("N"), clock.GetUtcNow() + Patience, false);
        while (true)
        {
            try
            {
                return await SendAsync(() =>
                {
                    var request = new HttpRequestMessage(HttpMethod.Post, path);
                    request.Headers.Add("Idempotency-Key", key);
                    if (body is not null)
                        request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
                    return request;
                });
            }
            catch (PendingException) when (clock.GetUtcNow() < deadline)
            {
                // Two minutes of silence look like a command that hangs.
                if (!told)
                    await error.WriteLineAsync($"No worker has answered yet. The command is stored, and is waited for: {Patience.TotalMinutes:0} minutes at most.");
                told = true;
                await Task.Delay(Pause, clock);
            }
        }
    }

    async Task<JsonNode> SendAsync(Func<HttpRequestMessage> make)
    {
        using var request = make();
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        if (answer.StatusCode == HttpStatusCode.Accepted)
            throw new PendingException();
        if (answer.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout)
            throw new HttpRequestException($"the ingress answers {(int)answer.StatusCode}; is Postgres up?");

        var json = Parse(text);
        if (answer.IsSuccessStatusCode && json is not null)
            return json;

        throw new RefusedException((int)answer.StatusCode, (string?)json?["code"] ?? "", (string?)json?["detail"] ?? $"The answer was {(int)answer.StatusCode}: is this the address of an ingress?");
    }

    static JsonNode? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>The API refuses.</summary>
sealed class RefusedException(int status, string code, string detail) : Exception(detail)
{
    public int Status => status;

    public string Code => code;
}

/// <summary>Stored, and no worker has done it yet.</summary>
sealed class PendingException() : Exception("The command is stored, but no worker has done it yet. It will be done once one runs: ./pulse restart worker starts it here.");
