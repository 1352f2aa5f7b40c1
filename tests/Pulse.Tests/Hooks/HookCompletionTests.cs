using System.Net;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

/// <summary>A platform that answers 202 and tells later, at the callback's address.</summary>
public sealed class HookCompletionTests : IClassFixture<TestPostgres>, IAsyncLifetime
{
    readonly TestPostgres _postgres;
    HookBed _bed = null!;

    public HookCompletionTests(TestPostgres postgres) => _postgres = postgres;

    public async Task InitializeAsync()
    {
        _bed = await HookBed.StartAsync(_postgres);
        _bed.Receiver.Reply = received => new HookReply(received.IsProvision ? 202 : 200);
    }

    public async Task DisposeAsync()
    {
        Assert.Empty(_bed.Receiver.Invalid);
        await _bed.DisposeAsync();
    }

    Task<string> StatusAsync(Guid callId) => _postgres.AskAsync<string>("select status from pulse.hook_calls where call_id = $1", callId);

    [Fact]
    public async Task What_succeeds_later_ends_later_and_a_repeat_gets_the_same_answer()
    {
        var (call, callback) = await WaitingAsync();
        Assert.Empty(_bed.Ends);

        Assert.Equal(HttpStatusCode.OK, await _bed.CompleteAsync(callback, "succeeded"));
        Assert.Equal(HttpStatusCode.OK, await _bed.CompleteAsync(callback, "succeeded"));
        Assert.Equal(HttpStatusCode.Conflict, await _bed.CompleteAsync(callback, "failed"));
        Assert.Equal(1, await _bed.BringCompletionsAsync(_bed.Worker()));

        Assert.Equal("succeeded", await StatusAsync(call.CallId));
        Assert.True(Assert.Single(_bed.Ends).Succeeded);
        Assert.Equal(HttpStatusCode.OK, await _bed.CompleteAsync(callback, "succeeded"));
        Assert.Equal(HttpStatusCode.Conflict, await _bed.CompleteAsync(callback, "failed"));
        // Its timer still stands, and changes nothing.
        await _bed.DrainAsync(_bed.Worker());
        Assert.Single(_bed.Ends);
        Assert.Equal(["accepted", "completed"], _bed.Outcomes);
    }

    [Fact]
    public async Task What_fails_later_is_taken_back_and_the_reason_is_kept_with_the_call()
    {
        var (call, callback) = await WaitingAsync();

        Assert.Equal(HttpStatusCode.OK, await _bed.CompleteAsync(callback, "failed", "no capacity in this region"));
        await _bed.BringCompletionsAsync(_bed.Worker());
        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal([("provision", false), ("deprovision", true)], _bed.Ends.Select(end => (end.Call.Type, end.Succeeded)));
        Assert.Equal("no capacity in this region", await _postgres.AskAsync<string>("select completion_reason from pulse.hook_calls where call_id = $1", call.CallId));
        Assert.Empty(_bed.Receiver.Tenants);
    }

    [Fact]
    public async Task What_nobody_tells_of_is_given_up_and_taken_back_and_who_tells_later_hears_so()
    {
        var (call, callback) = await WaitingAsync();
        var since = _bed.Clock.GetUtcNow();

        await _bed.DrainAsync(_bed.Worker());

        Assert.InRange(_bed.Clock.GetUtcNow() - since, _bed.Options().Deadline, _bed.Options().Deadline + TimeSpan.FromSeconds(10));
        Assert.Equal([("provision", false), ("deprovision", true)], _bed.Ends.Select(end => (end.Call.Type, end.Succeeded)));
        Assert.Equal(HttpStatusCode.Gone, await _bed.CompleteAsync(callback, "succeeded"));
        Assert.Equal("failed", await StatusAsync(call.CallId));
    }

    [Fact]
    public async Task A_token_ends_with_its_call_also_when_no_worker_has_looked()
    {
        var (_, callback) = await WaitingAsync();

        _bed.Clock.Advance(_bed.Options().Deadline);

        Assert.Equal(HttpStatusCode.Gone, await _bed.CompleteAsync(callback, "succeeded"));
        Assert.Equal(0, await _bed.BringCompletionsAsync(_bed.Worker()));
    }

    [Fact]
    public async Task Who_is_faster_with_his_callback_than_with_his_answer_is_believed()
    {
        var call = await _bed.ProvisionAsync();
        var told = new TaskCompletionSource<HttpStatusCode>();
        _bed.Receiver.Reply = received =>
        {
            told.TrySetResult(_bed.CompleteAsync(received.Callback!, "succeeded").GetAwaiter().GetResult());
            return new HookReply(202);
        };

        await _bed.DrainAsync(_bed.Worker(), most: 1);
        Assert.Equal(HttpStatusCode.OK, await told.Task.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(1, await _bed.BringCompletionsAsync(_bed.Worker()));

        Assert.Equal("succeeded", await StatusAsync(call.CallId));
        Assert.True(Assert.Single(_bed.Ends).Succeeded);
    }

    [Fact]
    public async Task The_token_of_an_earlier_secret_is_still_good()
    {
        _bed.Receiver.Reply = received => received.Number == 1 ? new HookReply(200) { After = TimeSpan.FromSeconds(20) } : new HookReply(202);
        var call = await _bed.ProvisionAsync();
        await _bed.DrainAsync(_bed.Worker(), most: 1);

        await _bed.DrainAsync(_bed.Worker(_bed.Options(newSecret: HookReceiver.NewSecret())), most: 1);
        Assert.Equal(2, _bed.Receiver.Received.Select(received => received.Callback).Distinct().Count());

        Assert.Equal(HttpStatusCode.OK, await _bed.CompleteAsync(_bed.Receiver.Received[0].Callback!, "succeeded"));
        await _bed.BringCompletionsAsync(_bed.Worker());
        Assert.Equal("succeeded", await StatusAsync(call.CallId));
    }

    [Fact]
    public async Task Taking_back_that_fails_later_is_begun_anew_under_another_key()
    {
        _bed.Receiver.Reply = received => new HookReply(_bed.Receiver.Received.Count < 3 ? 202 : 200);
        var purge = await _bed.PurgeAsync();
        await _bed.DrainAsync(_bed.Worker(), most: 1);
        Assert.Equal(HttpStatusCode.OK, await _bed.CompleteAsync(_bed.Receiver.Received[0].Callback!, "failed"));
        await _bed.BringCompletionsAsync(_bed.Worker());

        // The second is not told of in time, and asked again under its own key.
        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal(2, _bed.Receiver.Received.Select(received => received.Id).Distinct().Count());
        Assert.Equal(3, _bed.Receiver.Received.Count);
        Assert.Equal([false, true], _bed.Ends.Select(end => end.Succeeded));
        Assert.All(_bed.Ends, end => Assert.Equal(purge.PurgeId, end.Call.PurgeId));
    }

    [Fact]
    public async Task Neither_the_token_nor_what_it_is_made_of_alone_is_in_the_database()
    {
        var (_, callback) = await WaitingAsync();

        var token = callback.Segments[^1];
        Assert.Equal(43, token.Length);
        Assert.Equal(0L, await _postgres.AskAsync<long>("""
            select count(*) from pulse.hook_calls c join pulse.hook_tokens t using (call_id)
            where c::text like '%' || $1 || '%' or t::text like '%' || $1 || '%' or t.token_hash = c.seed or t.token_hash = sha256(c.seed)
            """, token));
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%2B%20")]
    public async Task Who_has_no_token_finds_nothing(string token) =>
        Assert.Equal(HttpStatusCode.NotFound, await _bed.CompleteAsync(new Uri($"/api/hooks/provision/{token}", UriKind.Relative), "succeeded"));

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"status":"done"}""")]
    [InlineData("""{"status":null}""")]
    [InlineData("""{"status":1}""")]
    [InlineData("""{"status":"succeeded","status":"failed"}""")]
    [InlineData("""{"status":"succeeded","reason":7}""")]
    [InlineData("""{"status":"failed","reason":"\u0000"}""")]
    [InlineData("""{"status":"failed","reason":"\ud800"}""")]
    public async Task A_body_that_says_nothing_completes_nothing(string body)
    {
        var (_, callback) = await WaitingAsync();

        Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(callback, Encoding.UTF8.GetBytes(body)));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await PostAsync(callback, new byte[9000]));
        Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(callback, Encoding.UTF8.GetBytes($$"""{"status":"failed","reason":"{{new string('x', 501)}}"}""")));
        Assert.Equal(0, await _bed.BringCompletionsAsync(_bed.Worker()));
    }

    [Fact]
    public async Task No_damaged_body_makes_a_5xx()
    {
        var (_, callback) = await WaitingAsync();
        var whole = """{"status":"succeeded","reason":"it is there"}"""u8.ToArray();
        var damaged = (from at in Gen.Choose(0, whole.Length - 1) from letter in Gen.Choose(0, 255) select (byte[])[.. whole[..at], (byte)letter, .. whole[(at + 1)..]]).Sample(200);

        foreach (var body in damaged)
            Assert.Contains(await PostAsync(callback, body), new[] { HttpStatusCode.OK, HttpStatusCode.BadRequest, HttpStatusCode.Conflict });
    }

    [Fact]
    public async Task With_hosted_mode_off_it_is_not_there()
    {
        var (_, callback) = await WaitingAsync();
        await using var closed = await TestIngress.StartAsync(_postgres.IngressAddress, _bed.Clock, null, "PULSE_HOSTED_MODE=false");

        using var answer = await closed.Http.PostAsync(callback.AbsolutePath, new StringContent("""{"status":"succeeded"}""", Encoding.UTF8, "application/json"));

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Equal(0, await _bed.BringCompletionsAsync(_bed.Worker()));
    }

    async Task<(NewHookCall Call, Uri Callback)> WaitingAsync()
    {
        var call = await _bed.ProvisionAsync();
        await _bed.DrainAsync(_bed.Worker(), most: 1);
        Assert.Equal("waiting", await StatusAsync(call.CallId));
        return (call, _bed.Receiver.Received.Last(received => received.OrgId == call.OrgId).Callback!);
    }

    async Task<HttpStatusCode> PostAsync(Uri callback, byte[] body)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new("application/json");
        using var answer = await _bed.Ingress.Http.PostAsync(callback, content);
        return answer.StatusCode;
    }
}
