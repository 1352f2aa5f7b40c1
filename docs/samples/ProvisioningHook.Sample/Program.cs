// A platform's end of Pulse's provisioning hook: docs/provisioning-hook.md. It keeps what it did in memory; yours keeps it in the database in which it
// does the work, in the same transaction.
//
//   HOOK_SECRET=whsec_… dotnet run --urls http://127.0.0.1:5080            answers when it is done
//   HOOK_SECRET=whsec_… HOOK_LATER=true dotnet run --urls …                answers 202, and tells later
using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

var app = WebApplication.Create(args);
var secrets = (app.Configuration["HOOK_SECRET"] ?? throw new InvalidOperationException("Set HOOK_SECRET to what Pulse signs with: whsec_…"))
    .Split([' ', ','], StringSplitOptions.RemoveEmptyEntries)
    .Select(secret => Convert.FromBase64String(secret["whsec_".Length..]))
    .ToList();
var later = app.Configuration["HOOK_LATER"] == "true";
var pulse = new HttpClient();
// What came of each call, by its key. And the organizations that were taken back: they never come again.
var calls = new ConcurrentDictionary<string, Lazy<Task<int>>>();
var gone = new ConcurrentDictionary<Guid, bool>();

app.MapPost("/hooks/pulse", async (HttpRequest request) =>
{
    using var buffer = new MemoryStream();
    await request.Body.CopyToAsync(buffer);
    // The bytes, as they came: what is parsed and written again is another body.
    var body = buffer.ToArray();
    if (!IsFromPulse(request.Headers, body))
        return Results.Unauthorized();

    var call = JsonSerializer.Deserialize<HookCall>(body, JsonSerializerOptions.Web)!;
    var key = request.Headers["webhook-id"].ToString();
    // Of two at once the second waits for the first, and both get its answer.
    var outcome = calls.GetOrAdd(key, _ => new Lazy<Task<int>>(() => DoAsync(call)));
    if (!later || call.CallbackUrl is null)
        return Results.StatusCode(await outcome.Value);

    _ = TellAsync(call.CallbackUrl, outcome.Value);
    return Results.Accepted();
});

app.Run();

// A signature over id.timestamp.body; while a secret is exchanged there are several, and one good one is enough.
bool IsFromPulse(IHeaderDictionary headers, byte[] body)
{
    var (id, timestamp) = (headers["webhook-id"].ToString(), headers["webhook-timestamp"].ToString());
    if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
        || (DateTimeOffset.UtcNow - DateTimeOffset.FromUnixTimeSeconds(seconds)).Duration() > TimeSpan.FromMinutes(5))
        return false;

    byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
    return headers["webhook-signature"].ToString().Split(' ')
        .Where(signature => signature.StartsWith("v1,", StringComparison.Ordinal))
        .Any(signature => secrets.Exists(secret => CryptographicOperations.FixedTimeEquals(
            Encoding.ASCII.GetBytes(signature["v1,".Length..]), Encoding.ASCII.GetBytes(Convert.ToBase64String(HMACSHA256.HashData(secret, signed))))));
}

async Task<int> DoAsync(HookCall call)
{
    // Here a database is created, or dropped.
    await Task.Delay(TimeSpan.FromMilliseconds(50));
    switch (call.Type)
    {
        case "tenant.deprovision":
            gone[call.OrgId] = true;
            break;
        // A call that was overtaken by its own clean-up.
        case "tenant.provision" when gone.ContainsKey(call.OrgId):
            return StatusCodes.Status410Gone;
    }

    app.Logger.LogInformation("{Type} {OrgId}", call.Type, call.OrgId);
    return StatusCodes.Status204NoContent;
}

// Until it is heard: Pulse may be away. After its deadline Pulse has given up, and answers so.
async Task TellAsync(Uri callback, Task<int> outcome)
{
    var status = await outcome < 300 ? "succeeded" : "failed";
    for (var wait = TimeSpan.FromSeconds(1); ; wait = wait < TimeSpan.FromMinutes(1) ? wait * 2 : wait)
    {
        try
        {
            using var answer = await pulse.PostAsJsonAsync(callback, new { status });
            if ((int)answer.StatusCode < 500 && (int)answer.StatusCode != 429)
                return;
        }
        catch (HttpRequestException)
        {
        }

        await Task.Delay(wait);
    }
}

sealed record HookCall(
    string Type,
    [property: System.Text.Json.Serialization.JsonPropertyName("org_id")] Guid OrgId,
    [property: System.Text.Json.Serialization.JsonPropertyName("callback_url")] Uri? CallbackUrl);
