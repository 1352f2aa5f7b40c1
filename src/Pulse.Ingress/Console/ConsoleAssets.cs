using System.Buffers.Text;
using System.Security.Cryptography;

namespace Pulse.Ingress.Console;

/// <summary>The console's own files: in the assembly, under addresses that change with what they hold.</summary>
static class ConsoleAssets
{
    /// <param name="Path">With a fingerprint of the content: a browser may keep it.</param>
    public sealed record Asset(string Name, string ContentType, byte[] Content, string Path, string Fingerprint);

    public static readonly Asset Style = Load("console.css", "text/css; charset=utf-8");
    public static readonly Asset Script = Load("console.js", "text/javascript; charset=utf-8");
    public static readonly Asset Icon = Load("icon.svg", "image/svg+xml");

    public static void Map(IEndpointRouteBuilder routes)
    {
        foreach (var asset in (ReadOnlySpan<Asset>)[Style, Script, Icon])
            routes.MapGet($"{ConsolePath.Assets}/{asset.Name}", context => AnswerAsync(context, asset)).ExcludeFromDescription();
    }

    static Task AnswerAsync(HttpContext context, Asset asset)
    {
        ConsoleHeaders.WriteTo(context.Response.Headers);
        if (context.Request.Query["v"] == asset.Fingerprint)
            context.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
        return TypedResults.Bytes(asset.Content, asset.ContentType).ExecuteAsync(context);
    }

    static Asset Load(string name, string contentType)
    {
        using var stream = typeof(ConsoleAssets).Assembly.GetManifestResourceStream($"Pulse.Ingress.Console.assets.{name}")
            ?? throw new InvalidOperationException($"{name} is not in the assembly.");
        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        var fingerprint = Base64Url.EncodeToString(SHA256.HashData(content).AsSpan(0, 9));
        return new Asset(name, contentType, content, $"{ConsolePath.Assets}/{name}?v={fingerprint}", fingerprint);
    }
}
