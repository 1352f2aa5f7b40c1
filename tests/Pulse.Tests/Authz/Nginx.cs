using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Pulse.Tests.Authz;

/// <summary>The machine's own nginx with deploy/nginx/pulse.conf, on a port of its own, in front of a small service.</summary>
sealed class Nginx : IAsyncDisposable
{
    readonly string _directory;
    readonly Process _process;
    readonly WebApplication _app;

    Nginx(string directory, Process process, WebApplication app, int port)
    {
        (_directory, _process, _app) = (directory, process, app);
        Http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
    }

    public HttpClient Http { get; }

    /// <summary>Requests that have come through to the service.</summary>
    public static readonly string Served = "X-Served-For";

    /// <param name="pulse">Where nginx believes Pulse to be.</param>
    /// <param name="key">What it shows there.</param>
    /// <param name="open">Whether it lets everybody in when nobody answers there.</param>
    public static async Task<Nginx> StartAsync(Uri pulse, string key, bool open = false)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        app.Run(async context =>
        {
            context.Response.Headers[Served] = context.Request.Headers["X-Pulse-Org-Id"].ToString();
            context.Response.StatusCode = context.Request.Path == "/teapot" ? 403 : 200;
            await context.Response.WriteAsync($"{context.Request.Method} {context.Request.Path}");
        });
        await app.StartAsync();

        var port = FreePort();
        var directory = Directory.CreateTempSubdirectory("pulse-nginx-").FullName;
        var conf = (await File.ReadAllTextAsync(Path.Combine(TestServers.Root, "deploy", "nginx", "pulse.conf")))
            .Replace("127.0.0.1:8080", pulse.Authority, StringComparison.Ordinal)
            .Replace("127.0.0.1:9000", new Uri(app.Urls.First()).Authority, StringComparison.Ordinal)
            .Replace("127.0.0.1:8000", $"127.0.0.1:{port}", StringComparison.Ordinal);
        if (open)
            conf = conf.Replace("# error_page 502 504", "error_page 502 504", StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(directory, "pulse.conf"), conf);
        await File.WriteAllTextAsync(Path.Combine(directory, "pulse-authz-key.conf"), $"proxy_set_header X-Pulse-Authz-Key \"{key}\";\n");
        await File.WriteAllTextAsync(Path.Combine(directory, "nginx.conf"), $$"""
            {{(Environment.UserName == "root" ? "user root;" : "")}}
            daemon off;
            worker_processes 1;
            pid {{directory}}/nginx.pid;
            error_log {{directory}}/error.log;
            events {}
            http {
                access_log off;
                client_body_temp_path {{directory}}/body;
                proxy_temp_path {{directory}}/proxy;
                fastcgi_temp_path {{directory}}/fastcgi;
                uwsgi_temp_path {{directory}}/uwsgi;
                scgi_temp_path {{directory}}/scgi;
                include {{directory}}/pulse.conf;
            }
            """);

        var binary = new[] { "/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx" }.FirstOrDefault(File.Exists);
        Assert.True(binary is not null, "nginx is not on this machine. ./pulse test installs it, or: apt-get install nginx");
        var process = Process.Start(new ProcessStartInfo(binary!, ["-p", directory, "-e", Path.Combine(directory, "error.log"), "-c", Path.Combine(directory, "nginx.conf")]))!;
        var nginx = new Nginx(directory, process, app, port);
        await Eventually.Until(() =>
        {
            Assert.False(process.HasExited, File.Exists(Path.Combine(directory, "error.log")) ? File.ReadAllText(Path.Combine(directory, "error.log")) : "nginx ended.");
            return Task.FromResult(Answers(port));
        }, TimeSpan.FromSeconds(30), "nginx listens");
        return nginx;
    }

    /// <summary>As a client of the organization's own address.</summary>
    public async Task<HttpResponseMessage> GetAsync(object? org, string path = "/", string method = "GET", params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        request.Headers.Host = org is null ? "app.example.org" : $"{org}.example.org";
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        if (method == "POST")
            request.Content = new ByteArrayContent(new byte[100_000]);
        return await Http.SendAsync(request);
    }

    /// <summary>What it complained of.</summary>
    public string Errors => File.ReadAllText(Path.Combine(_directory, "error.log"));

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        // Its master process ends its workers.
        using (var kill = Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        await _process.WaitForExitAsync();
        _process.Dispose();
        await _app.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    static bool Answers(int port)
    {
        try
        {
            using var client = new TcpClient();
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
