using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

/// <summary>Calling over real sockets.</summary>
public sealed class HookClientTests : IAsyncLifetime
{
    readonly string _secret = HookReceiver.NewSecret();
    HookReceiver _receiver = null!;

    public async Task InitializeAsync() => _receiver = await HookReceiver.StartAsync(_secret);

    public async Task DisposeAsync() => await _receiver.DisposeAsync();

    HookOptions Options(Uri? url = null, bool allowPrivate = true, double seconds = 5, params string[] more) => new()
    {
        Url = url ?? _receiver.Url,
        Secrets = [.. more.Append(_secret).Select(secret => HookSignature.ReadSecret(secret)!)],
        AllowPrivate = allowPrivate,
        PublicUrl = null,
        Timeout = TimeSpan.FromSeconds(seconds),
        Attempts = 3,
        Deadline = TimeSpan.FromMinutes(1),
    };

    static async Task<HookAnswer> PostAsync(HookOptions options)
    {
        using var client = new HookClient(options, TimeProvider.System);
        return await client.PostAsync(Guid.NewGuid().ToString(), Body, CancellationToken.None);
    }

    static byte[] Body => [.. """{"type":"tenant.provision","org_id":"01900000-0000-7000-8000-000000000001"}"""u8];

    [Fact]
    public async Task A_call_is_signed_as_others_verify_it_also_while_the_secret_is_exchanged()
    {
        Assert.Equal(HookResult.Done, (await PostAsync(Options())).Result);
        Assert.Equal(HookResult.Done, (await PostAsync(Options(more: HookReceiver.NewSecret()))).Result);

        Assert.Equal(2, _receiver.Received.Count);
        Assert.Empty(_receiver.Invalid);
    }

    [Theory]
    [InlineData(200, HookResult.Done)]
    [InlineData(201, HookResult.Done)]
    [InlineData(204, HookResult.Done)]
    [InlineData(202, HookResult.Accepted)]
    [InlineData(400, HookResult.Refused)]
    [InlineData(401, HookResult.Refused)]
    [InlineData(404, HookResult.Refused)]
    [InlineData(409, HookResult.Refused)]
    [InlineData(410, HookResult.Gone)]
    [InlineData(408, HookResult.Unavailable)]
    [InlineData(429, HookResult.Busy)]
    [InlineData(500, HookResult.Unavailable)]
    [InlineData(503, HookResult.Unavailable)]
    internal async Task What_an_answer_means(int status, HookResult result)
    {
        _receiver.Reply = _ => new HookReply(status) { Headers = new Dictionary<string, string> { ["Retry-After"] = "7" } };

        Assert.Equal(new HookAnswer(result, status, TimeSpan.FromSeconds(7)), await PostAsync(Options()));
    }

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(307)]
    [InlineData(308)]
    internal async Task A_redirect_is_not_followed(int status)
    {
        _receiver.Reply = _ => new HookReply(status) { Headers = new Dictionary<string, string> { ["Location"] = new Uri(_receiver.Url, "/elsewhere").AbsoluteUri } };

        Assert.Equal(HookResult.Refused, (await PostAsync(Options())).Result);
        // Elsewhere would have noted it.
        Assert.Empty(_receiver.Invalid);
    }

    [Fact]
    public async Task A_date_to_retry_after_is_understood()
    {
        _receiver.Reply = _ => new HookReply(503) { Headers = new Dictionary<string, string> { ["Retry-After"] = DateTimeOffset.UtcNow.AddSeconds(60).ToString("R") } };

        Assert.InRange((await PostAsync(Options())).RetryAfter!.Value.TotalSeconds, 50, 60);
    }

    [Fact]
    public async Task Whoever_takes_his_time_is_not_waited_for()
    {
        _receiver.Reply = _ => new HookReply(200) { After = TimeSpan.FromSeconds(30) };
        var since = Stopwatch.GetTimestamp();

        Assert.Equal(HookResult.TimedOut, (await PostAsync(Options(seconds: 1))).Result);
        Assert.InRange(Stopwatch.GetElapsedTime(since).TotalSeconds, 0.9, 10);
    }

    [Fact]
    public async Task An_endless_body_is_not_read()
    {
        _receiver.Reply = _ => new HookReply(200) { BodyLength = 1L << 40 };
        var before = GC.GetTotalAllocatedBytes();

        Assert.Equal(HookResult.Done, (await PostAsync(Options())).Result);
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 50_000_000);
    }

    [Fact]
    public async Task A_cut_connection_may_have_done_it_and_one_that_never_was_has_not()
    {
        _receiver.Reply = _ => new HookReply(200) { Cuts = true };
        Assert.Equal((HookResult.Broken, false), Told(await PostAsync(Options())));

        using var nobody = new TcpListener(IPAddress.Loopback, 0);
        nobody.Start();
        var port = ((IPEndPoint)nobody.LocalEndpoint).Port;
        nobody.Stop();
        Assert.Equal((HookResult.Unreachable, true), Told(await PostAsync(Options(new Uri($"http://127.0.0.1:{port}")))));
        Assert.Equal((HookResult.Unreachable, true), Told(await PostAsync(Options(new Uri("http://nobody.invalid")))));

        static (HookResult, bool) Told(HookAnswer answer) => (answer.Result, answer.DidNothing);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    [InlineData("2130706433")]
    [InlineData("0x7f.1")]
    [InlineData("[::1]")]
    [InlineData("[::ffff:127.0.0.1]")]
    public async Task A_private_address_is_refused_before_anything_is_sent_however_it_is_written(string host)
    {
        var url = new UriBuilder(_receiver.Url) { Host = host }.Uri;

        Assert.Equal(HookResult.Blocked, (await PostAsync(Options(url, allowPrivate: false))).Result);
        Assert.Empty(_receiver.Received);
    }

    [Fact]
    public async Task No_proxy_of_the_environment_is_asked()
    {
        // What .NET would take from http_proxy when its first client is made.
        var before = HttpClient.DefaultProxy;
        HttpClient.DefaultProxy = new WebProxy("http://127.0.0.1:9");
        try
        {
            Assert.Equal(HookResult.Done, (await PostAsync(Options())).Result);
        }
        finally
        {
            HttpClient.DefaultProxy = before;
        }
    }
}
