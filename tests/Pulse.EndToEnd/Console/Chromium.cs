using Microsoft.Playwright;

namespace Pulse.EndToEnd.Console;

/// <summary>The machine's own browser, driven by Playwright.</summary>
public sealed class Chromium : IAsyncLifetime
{
    IPlaywright? _playwright;
    IBrowser? _browser;

    public async Task InitializeAsync()
    {
        var program = Environment.GetEnvironmentVariable("PULSE_CHROMIUM") is { Length: > 0 } named ? named : "/usr/bin/chromium";
        Assert.True(File.Exists(program), $"There is no {program}: apt-get install chromium, or let PULSE_CHROMIUM name one.");
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = program, Args = ["--disable-dev-shm-usage", "--no-sandbox"] });
    }

    public async Task DisposeAsync()
    {
        await (_browser?.DisposeAsync() ?? default);
        _playwright?.Dispose();
    }

    /// <summary>A browser of its own: no cookies, no cache of others.</summary>
    public Task<IBrowserContext> NewAsync(Uri console, bool script = true, bool dark = false, int width = 1280, int height = 900) => _browser!.NewContextAsync(new BrowserNewContextOptions
    {
        BaseURL = console.ToString(),
        JavaScriptEnabled = script,
        ColorScheme = dark ? ColorScheme.Dark : ColorScheme.Light,
        ViewportSize = new ViewportSize { Width = width, Height = height },
        ReducedMotion = ReducedMotion.Reduce,
        TimezoneId = "UTC",
    });
}
