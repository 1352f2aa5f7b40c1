using System.Diagnostics;
using System.IO.Compression;

namespace Pulse.Tests.Entitlements;

public sealed class PackageTests
{
    [Fact]
    public async Task The_package_is_whole_and_the_sample_builds_against_it()
    {
        var work = Directory.CreateTempSubdirectory("pulse-package-").FullName;
        try
        {
            var feed = Path.Combine(work, "feed");
            await DotnetAsync(TestServers.Root, "pack", "src/Pulse.Entitlements", "-c", "Release", "-o", feed, "-v", "q", "--nologo");

            var package = Directory.GetFiles(feed, "Pulse.Entitlements.*.nupkg").Single();
            using (var archive = ZipFile.OpenRead(package))
            {
                var files = archive.Entries.Select(entry => entry.FullName).ToList();
                foreach (var file in (string[])["README.md", "LICENSE", "lib/net10.0/Pulse.Entitlements.dll", "lib/net10.0/Pulse.Entitlements.xml"])
                    Assert.Contains(file, files);

                using var specification = new StreamReader(archive.GetEntry("Pulse.Entitlements.nuspec")!.Open());
                var text = await specification.ReadToEndAsync();
                Assert.Contains("<readme>README.md</readme>", text, StringComparison.Ordinal);
                // What a service takes on with it: Npgsql, abstractions, nothing of Pulse.
                Assert.Equal(
                    ["Microsoft.Extensions.DependencyInjection.Abstractions", "Microsoft.Extensions.Hosting.Abstractions", "Microsoft.Extensions.Logging.Abstractions", "Npgsql"],
                    System.Text.RegularExpressions.Regex.Matches(text, "<dependency id=\"([^\"]+)\"").Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal));
            }

            // Somewhere else, with a cache of packages of its own: an older package of the same version is not to be found in it.
            var sample = Path.Combine(work, "sample");
            Directory.CreateDirectory(sample);
            foreach (var file in Directory.GetFiles(Path.Combine(TestServers.Root, "docs", "samples", "Entitlements.Sample"), "*.*").Where(file => file.EndsWith(".cs", StringComparison.Ordinal) || file.EndsWith(".csproj", StringComparison.Ordinal)))
                File.Copy(file, Path.Combine(sample, Path.GetFileName(file)));
            await File.WriteAllTextAsync(Path.Combine(sample, "nuget.config"), $"""
                <configuration>
                  <config><add key="globalPackagesFolder" value="{Path.Combine(work, "packages")}" /></config>
                  <packageSources><add key="made" value="{feed}" /></packageSources>
                </configuration>
                """);
            await DotnetAsync(sample, "build", "-v", "q", "--nologo");
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    static async Task DotnetAsync(string directory, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = directory, RedirectStandardOutput = true };
        // Nothing stays behind, and nothing of this test run's own build reaches it.
        (start.Environment["MSBUILDDISABLENODEREUSE"], start.Environment["UseSharedCompilation"]) = ("1", "false");
        start.Environment.Remove("MSBuildSDKsPath");
        using var dotnet = Process.Start(start)!;
        var output = await dotnet.StandardOutput.ReadToEndAsync();
        await dotnet.WaitForExitAsync();
        Assert.True(dotnet.ExitCode == 0, output);
    }
}
