namespace Grants.Testing;

/// <summary>The machine's clock plus an offset that a test moves. Time goes on, so timers still tick.</summary>
public sealed class MovableClock : TimeProvider
{
    private long _offset;

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref _offset));

    public void Advance(TimeSpan by) => Interlocked.Add(ref _offset, by.Ticks);
}
