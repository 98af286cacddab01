/**
 * Notices silence. One timer serves a whole answer and is set again only when it fires: setting a
 * timer for each piece read would cost as much as reading it.
 */
type Watchdog = {
  /** Something arrived. From now on, `limitMs` of silence are allowed. */
  heard(limitMs: number): void;
  stop(): void;
};

export function startWatchdog(limitMs: number, { onSilence }: { onSilence: (limitMs: number) => void }): Watchdog {
  let allowedMs = limitMs;
  let heardAtMs = Date.now();
  let timer = setTimeout(check, allowedMs);

  function check(): void {
    const leftMs = heardAtMs + allowedMs - Date.now();
    if (leftMs <= 0) onSilence(allowedMs);
    else timer = setTimeout(check, leftMs);
  }

  return {
    heard(nextLimitMs) {
      heardAtMs = Date.now();
      if (nextLimitMs === allowedMs) return;
      allowedMs = nextLimitMs;
      clearTimeout(timer);
      timer = setTimeout(check, allowedMs);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
