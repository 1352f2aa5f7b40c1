namespace Pulse.Tests.Signups;

public sealed class ApiDocumentTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Fact]
    public async Task The_API_document_lists_the_routes_their_fields_and_their_problems()
    {
        var answer = await Ingress.Http.GetAsync("/openapi/v1.json");
        Assert.Equal(200, (int)answer.StatusCode);
        var document = await answer.Json();

        var paths = document.GetProperty("paths");
        Assert.Equal(["/api/public/signup", "/api/public/signup/{signup_id}"],
            paths.EnumerateObject().Select(path => path.Name).Where(path => path.StartsWith("/api/public/", StringComparison.Ordinal)).Order());

        var post = paths.GetProperty("/api/public/signup").GetProperty("post");
        Assert.Equal(["202", "400", "409", "413", "422", "429", "503"], post.GetProperty("responses").EnumerateObject().Select(response => response.Name).Order());
        foreach (var response in post.GetProperty("responses").EnumerateObject().Where(response => response.Name != "202"))
            Assert.EndsWith("/ProblemDetails", response.Value.GetProperty("content").GetProperty("application/problem+json").GetProperty("schema").GetProperty("$ref").GetString(), StringComparison.Ordinal);
        Assert.Equal("Idempotency-Key", post.GetProperty("parameters")[0].GetProperty("name").GetString());

        var body = post.GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("schema");
        Assert.Equal(["email", "org_name"], body.GetProperty("required").EnumerateArray().Select(name => name.GetString()).Order());
        var fields = body.GetProperty("properties");
        Assert.Equal("string", fields.GetProperty("email").GetProperty("type").GetString());
        Assert.Equal("email", fields.GetProperty("email").GetProperty("format").GetString());
        Assert.Equal(254, fields.GetProperty("email").GetProperty("maxLength").GetInt32());
        Assert.Equal((8, 1024), (fields.GetProperty("password").GetProperty("minLength").GetInt32(), fields.GetProperty("password").GetProperty("maxLength").GetInt32()));
        Assert.Equal((3, 64), (fields.GetProperty("org_name").GetProperty("minLength").GetInt32(), fields.GetProperty("org_name").GetProperty("maxLength").GetInt32()));

        var get = paths.GetProperty("/api/public/signup/{signup_id}").GetProperty("get");
        Assert.Equal(["200", "404", "503"], get.GetProperty("responses").EnumerateObject().Select(response => response.Name).Order());
        Assert.Equal("uuid", get.GetProperty("parameters")[0].GetProperty("schema").GetProperty("format").GetString());

        var problem = document.GetProperty("components").GetProperty("schemas").GetProperty("ProblemDetails");
        Assert.Equal(["code", "detail", "errors", "status", "title", "trace_id", "type"], problem.GetProperty("properties").EnumerateObject().Select(field => field.Name).Order());
    }
}
