using Grants.Domain.Protocol;
using Microsoft.Extensions.Caching.Memory;

namespace Grants.Api.Token;

/// <summary>
/// Notices a client whose codes come with the same PKCE challenge again: then its verifier is a constant, and whoever knows it can redeem
/// the client's codes (RFC 9700 §2.1.1). The operator is told once for each such challenge. Nobody is refused: the person would pay for
/// the app's fault. Each node looks at what it redeemed itself.
/// </summary>
public sealed class RepeatedChallenges(ILogger<RepeatedChallenges> logger) : IDisposable
{
    private const int Remembered = 20_000;

    private static readonly Action<ILogger, string, Exception?> Repeated = LoggerMessage.Define<string>(LogLevel.Warning, new EventId(1, "ChallengeRepeated"),
        "Client {Client} redeemed two codes with the same code_challenge. It must make a new code_verifier for each request (RFC 7636 section 4.1).");

    private readonly MemoryCache _seen = new(new MemoryCacheOptions { SizeLimit = Remembered });

    public void Redeemed(ClientId client, CodeChallenge challenge)
    {
        if (!_seen.TryGetValue((client, challenge), out int times)) times = 0;
        if (times == 1) Repeated(logger, client.Value, null);
        if (times < 2) _seen.Set((client, challenge), times + 1, new MemoryCacheEntryOptions { Size = 1, SlidingExpiration = TimeSpan.FromHours(6) });
    }

    public void Dispose() => _seen.Dispose();
}
