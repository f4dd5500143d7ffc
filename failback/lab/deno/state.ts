/** What a runtime knows of its functions, and what of that outlives it. */
import type { Handler } from "./types.ts";

interface Loaded {
  handler: Handler;
  digest: string;
}

interface Faults {
  /** Names of functions that have expired: they answer 410. */
  expired: string[];
  /** Whether functions are given secrets that are not the right ones. */
  wrongSecrets: boolean;
}

interface Kept {
  disabled: string[];
  faults: Faults;
}

/** One function as the admin API tells of it. */
export interface Listed {
  name: string;
  enabled: boolean;
  digest: string;
  version: string;
}

/** The functions of one runtime. */
export class State {
  private constructor(
    private readonly file: string,
    private readonly secretsFile: string,
    private readonly loaded: ReadonlyMap<string, Loaded>,
    private kept: Kept,
  ) {}

  /**
   * Loads every function of a folder.
   *
   * @param folder holds a folder with `index.ts` for each.
   * @param file keeps what is disabled and broken.
   * @param secretsFile a JSON object of secrets by name; read for every request.
   * @param disabled what is disabled where there is no such file yet.
   */
  static async load(
    folder: string,
    file: string,
    secretsFile: string,
    disabled: string[],
  ): Promise<State> {
    const names = [...Deno.readDirSync(folder)].filter((one) => one.isDirectory);
    const loaded = await Promise.all(names.map(async ({ name }) => {
      const { default: handler } = await import(`file://${folder}/${name}/index.ts`);
      return [name, { handler, digest: await digestOf(`${folder}/${name}`) }] as const;
    }));
    return new State(file, secretsFile, new Map(loaded.sort()), read(file, disabled));
  }

  /** The function of this name. */
  handler(name: string): Handler | undefined {
    return this.loaded.get(name)?.handler;
  }

  isEnabled(name: string): boolean {
    return !this.kept.disabled.includes(name);
  }

  hasExpired(name: string): boolean {
    return this.kept.faults.expired.includes(name);
  }

  enable(name: string, enabled: boolean): void {
    const others = this.kept.disabled.filter((one) => one !== name);
    this.kept = { ...this.kept, disabled: enabled ? others : [...others, name].sort() };
    this.keep();
  }

  faults(): Faults {
    return this.kept.faults;
  }

  setFaults({ expired = [], wrongSecrets = false }: Partial<Faults>): void {
    this.kept = { ...this.kept, faults: { expired, wrongSecrets } };
    this.keep();
  }

  functions(): Listed[] {
    return [...this.loaded].map(([name, { digest }]) => ({
      name,
      enabled: this.isEnabled(name),
      digest: `source:${digest}`,
      version: digest.slice(0, 8),
    }));
  }

  secrets(): Record<string, string> {
    const secrets = JSON.parse(Deno.readTextFileSync(this.secretsFile));
    if (!this.kept.faults.wrongSecrets) return secrets;
    return Object.fromEntries(Object.keys(secrets).map((name) => [name, `wrong ${name}`]));
  }

  secretDigests(): Promise<{ name: string; sha256: string }[]> {
    return Promise.all(
      Object.entries(this.secrets()).map(async ([name, value]) => ({
        name,
        sha256: await sha256(new TextEncoder().encode(value)),
      })),
    );
  }

  /** Written aside and renamed: a runtime that is killed leaves the old state or the new one. */
  private keep(): void {
    Deno.writeTextFileSync(`${this.file}.new`, JSON.stringify(this.kept));
    Deno.renameSync(`${this.file}.new`, this.file);
  }
}

function read(file: string, disabled: string[]): Kept {
  try {
    return JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { disabled, faults: { expired: [], wrongSecrets: false } };
  }
}

/** SHA-256 over the lines `<SHA-256 of a file>  <its path in the folder>`, sorted by path. */
async function digestOf(folder: string): Promise<string> {
  const paths = filesOf(folder, "").sort();
  const lines = await Promise.all(
    paths.map(async (path) =>
      `${await sha256(await Deno.readFile(`${folder}/${path}`))}  ${path}\n`
    ),
  );
  return await sha256(new TextEncoder().encode(lines.join("")));
}

function filesOf(folder: string, below: string): string[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap((one) =>
    one.isDirectory ? filesOf(folder, `${below}${one.name}/`) : [`${below}${one.name}`]
  );
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
