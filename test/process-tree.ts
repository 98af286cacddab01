/** Finds which process started which: from /proc if the system has it, otherwise from ps. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

type Process = { pid: number; parent: number; command: string };

/** All processes except zombies, which have ended and wait for their parent to notice. */
function allProcesses(): Process[] {
  if (!existsSync('/proc/self/stat')) {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,command='], { encoding: 'utf8' })
      .trim()
      .split('\n');
    return lines.flatMap((line) => {
      const [pid, parent, state = '', ...command] = line.trim().split(/\s+/);
      return state.startsWith('Z') ? [] : [{ pid: Number(pid), parent: Number(parent), command: command.join(' ') }];
    });
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // "pid (name) state parent ...", and the name may contain anything.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return state === 'Z' ? [] : [{ pid: Number(name), parent: Number(parent), command }];
      } catch {
        // It ended in the meantime.
        return [];
      }
    });
}

export function descendantsOf(pid: number): Process[] {
  const all = allProcesses();
  const found: Process[] = [];
  for (let parents = [pid]; parents.length > 0; ) {
    const children = all.filter(({ parent }) => parents.includes(parent));
    found.push(...children);
    parents = children.map((child) => child.pid);
  }
  return found;
}

/** Returns those of `processes` that are still running. */
export function stillRunning(processes: readonly Process[]): Process[] {
  const now = new Map(allProcesses().map((process) => [process.pid, process.command]));
  return processes.filter(({ pid, command }) => now.get(pid) === command);
}
