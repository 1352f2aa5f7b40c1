using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Pulse.Testing;

/// <summary>One call of the hook, as it arrived.</summary>
/// <param name="Id">webhook-id.</param>
/// <param name="Type">tenant.provision or tenant.deprovision.</param>
/// <param name="OrgId">The organization.</param>
/// <param name="Callback">Where an asynchronous end is told; null when none was offered.</param>
/// <param name="Body">Its bytes, as text.</param>
/// <param name="Number">How often this id had come, this time counted.</param>
public sealed record HookReceived(string Id, string Type, Guid OrgId, Uri? Callback, string Body, int Number)
{
    /// <summary>Whether it is tenant.provision.</summary>
    public bool IsProvision => Type == "tenant.provision";
}

/// <summary>What the platform does about a call.</summary>
/// <param name="Status">Its answer.</param>
public sealed record HookReply(int Status)
{
    /// <summary>Whether the work is done, whatever the answer says.</summary>
    public bool Works { get; init; } = Status is >= 200 and < 300;

    /// <summary>How long the answer takes.</summary>
    public TimeSpan After { get; init; }

    /// <summary>Bytes of the answer's body.</summary>
    public long BodyLength { get; init; }

    /// <summary>More headers.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();

    /// <summary>The connection is cut instead of an answer.</summary>
    public bool Cuts { get; init; }
}

/// <summary>
/// A platform with a provisioning hook, on a real Kestrel: it verifies with code of its own, does the work once for each key, and answers as it is told.
/// What was taken back is never made again, as docs/provisioning-hook.md asks of it.
/// </summary>
public sealed class HookReceiver : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly string[] _secrets;
    readonly ConcurrentQueue<HookReceived> _received = new();
    readonly ConcurrentQueue<string> _invalid = new();
    readonly ConcurrentDictionary<string, int> _numbers = [];
    readonly Dictionary<string, Guid> _made = [];
    readonly HashSet<Guid> _tenants = [];
    readonly HashSet<Guid> _gone = [];
    readonly Lock _lock = new();

    HookReceiver(WebApplication app, string[] secrets)
    {
        _app = app;
        _secrets = secrets;
    }

    /// <summary>Where it is called.</summary>
    public Uri Url => new(new Uri(_app.Urls.First()), "/hooks/pulse?of=tests");

    /// <summary>What it does; done at once unless it is told otherwise.</summary>
    public Func<HookReceived, HookReply> Reply { get; set; } = _ => new HookReply(200);

    /// <summary>Its time.</summary>
    public TimeProvider Clock { get; set; } = TimeProvider.System;

    /// <summary>All that came with a good signature, in its order.</summary>
    public IReadOnlyList<HookReceived> Received => [.. _received];

    /// <summary>What was wrong with calls; nothing ever should be.</summary>
    public IReadOnlyList<string> Invalid => [.. _invalid];

    /// <summary>Organizations that have something here.</summary>
    public IReadOnlySet<Guid> Tenants
    {
        get
        {
            lock (_lock)
                return _tenants.ToHashSet();
        }
    }

    /// <summary>How many keys something was made for, for this organization.</summary>
    public int Made(Guid orgId)
    {
        lock (_lock)
            return _made.Values.Count(org => org == orgId);
    }

    /// <summary>A secret as it is written down.</summary>
    public static string NewSecret() => $"whsec_{Convert.ToBase64String(RandomNumberGenerator.GetBytes(32))}";

    /// <summary>Listens on a free port of loopback.</summary>
    /// <param name="secrets">Those that it believes.</param>
    public static async Task<HookReceiver> StartAsync(params string[] secrets)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var receiver = new HookReceiver(app, secrets);
        app.MapPost("/hooks/pulse", receiver.TakeAsync);
        app.MapFallback(context =>
        {
            receiver._invalid.Enqueue($"{context.Request.Method} {context.Request.Path}");
            context.Response.StatusCode = 404;
            return Task.CompletedTask;
        });
        await app.StartAsync();
        return receiver;
    }

    async Task TakeAsync(HttpContext context)
    {
        using var buffer = new MemoryStream();
        await context.Request.Body.CopyToAsync(buffer);
        var body = Encoding.UTF8.GetString(buffer.ToArray());
        var id = context.Request.Headers["webhook-id"].ToString();
        if (Complaint(context.Request.Headers, body) is { } complaint)
        {
            _invalid.Enqueue(complaint);
            context.Response.StatusCode = 401;
            return;
        }

        var json = JsonDocument.Parse(body).RootElement;
        var received = new HookReceived(
            id, json.GetProperty("type").GetString()!, json.GetProperty("org_id").GetGuid(),
            json.TryGetProperty("callback_url", out var callback) ? new Uri(callback.GetString()!) : null, body, _numbers.AddOrUpdate(id, 1, (_, number) => number + 1));
        _received.Enqueue(received);

        var reply = Reply(received);
        if (reply.Works)
            Work(received);
        await AnswerAsync(context, reply);
    }

    void Work(HookReceived received)
    {
        lock (_lock)
        {
            if (!received.IsProvision)
            {
                _gone.Add(received.OrgId);
                _tenants.Remove(received.OrgId);
            }
            else if (!_gone.Contains(received.OrgId) && _made.TryAdd(received.Id, received.OrgId))
            {
                _tenants.Add(received.OrgId);
            }
        }
    }

    static async Task AnswerAsync(HttpContext context, HookReply reply)
    {
        if (reply.After > TimeSpan.Zero)
            await Task.Delay(reply.After, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        if (reply.Cuts)
        {
            context.Abort();
            return;
        }

        context.Response.StatusCode = reply.Status;
        foreach (var (name, value) in reply.Headers)
            context.Response.Headers[name] = value;
        var piece = new byte[64 * 1024];
        for (var left = reply.BodyLength; left > 0 && !context.RequestAborted.IsCancellationRequested; left -= piece.Length)
            await context.Response.Body.WriteAsync(piece.AsMemory(0, (int)Math.Min(left, piece.Length)), context.RequestAborted);
    }

    // The specification's own words: the id, the timestamp and the payload, joined by full stops; any of the signatures may be the good one.
    string? Complaint(IHeaderDictionary headers, string body)
    {
        var (id, timestamp) = (headers["webhook-id"].ToString(), headers["webhook-timestamp"].ToString());
        if (id.Length == 0 || id.Contains('.', StringComparison.Ordinal) || headers["Idempotency-Key"] != id)
            return $"id '{id}', key '{headers["Idempotency-Key"]}'";
        if (headers.ContentType != "application/json")
            return $"content type '{headers.ContentType}'";
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            || Math.Abs(Clock.GetUtcNow().ToUnixTimeSeconds() - seconds) > 300)
            return $"timestamp '{timestamp}'";

        var signed = Encoding.UTF8.GetBytes($"{id}.{timestamp}.{body}");
        var expected = _secrets.Select(secret => "v1," + Convert.ToBase64String(HMACSHA256.HashData(Convert.FromBase64String(secret["whsec_".Length..]), signed)));
        return headers["webhook-signature"].ToString().Split(' ').Intersect(expected).Any() ? null : $"signature '{headers["webhook-signature"]}'";
    }

    /// <summary>Cuts what is under way, and stops.</summary>
    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(patience.Token);
        await _app.DisposeAsync();
    }
}
