"""What is read of TypeScript, and that what can't be read is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.typescript import Declaration, Member, UnreadableError, declared, exported

SHAPE = """\
/** What it is made with. */
export interface Options {
  readonly url: string;
  /**
   * How long; it says so
   * in two lines: { not a bracket.
   */
  readonly patience?: number | undefined;
  call(
    of: { readonly key: string; readonly secret?: string },
    more?: Options,
  ): Promise<{ readonly a: 1 }>;
}

/** What went wrong. */
export type Code =
  /** The program. */
  | 'configuration'
  | 'other';

export type Fetch = typeof globalThis.fetch;

/** No. */
export class Wrong extends Error {
  override readonly name: string = 'Wrong';
  /** Which. */
  declare readonly code: Code;

  constructor(code: Code, message: string) {
    super(message);
    if (code) { this.name; }
  }
}

/** Makes one. */
export function make(
  options: Options,
  { lockSeconds = 30 }: { readonly lockSeconds?: number } = {},
): Wrong {
  return new Wrong('other', options.url);
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """One with a form of each kind."""
    path = tmp_path / "shape.ts"
    path.write_text(SHAPE, encoding="utf-8")
    return path


def test_each_form_is_read(module: Path) -> None:
    assert list(exported(module)) == [
        Declaration(
            "Options",
            "interface",
            "",
            "What it is made with.",
            [
                Member("url: string", ""),
                Member(
                    "patience?: number | undefined",
                    "How long; it says so in two lines: { not a bracket.",
                ),
                Member(
                    "call(of: { readonly key: string; readonly secret?: string }, more?: Options): "
                    "Promise<{ readonly a: 1 }>",
                    "",
                ),
            ],
        ),
        Declaration(
            "Code",
            "type",
            "",
            "What went wrong.",
            [Member("'configuration'", "The program."), Member("'other'", "")],
        ),
        Declaration("Fetch", "type", "typeof globalThis.fetch", "", []),
        Declaration(
            "Wrong",
            "class",
            "extends Error",
            "No.",
            [
                Member("name: string", ""),
                Member("code: Code", "Which."),
                Member("constructor(code: Code, message: string)", ""),
            ],
        ),
        Declaration(
            "make",
            "function",
            "make(options: Options, { lockSeconds = 30 }: { readonly lockSeconds?: number } = {}): "
            "Wrong",
            "Makes one.",
            [],
        ),
    ]


def test_what_is_passed_on_is_read_where_it_is(module: Path) -> None:
    other = module.with_name("other.ts")
    other.write_text("export type { Code, Fetch } from './shape.js';\n", encoding="utf-8")
    assert [each.name for each in exported(other)] == ["Code", "Fetch"]
    with pytest.raises(UnreadableError, match="no declaration of Nothing"):
        declared(module, "Nothing")


@pytest.mark.parametrize(
    "source",
    [
        "export default make;",
        "export * from './shape.js';",
        "export enum Color { Red }",
        "export const answer = 42;",
        "export { make as other } from './shape.js';",
        "export interface Odd {\n  [name: string]: string;\n}",
        "export interface Odd {\n  // a remark\n  url: string;\n}",
        "export interface Odd {\n  url: string;\n  get other(): string;\n}",
        "export interface Odd {\n  url: (string;\n}",
        "export class Odd {\n  static make() {\n    return 1;\n  }\n}",
        "export type Odd =\n  /** One. */\n  | 'one'\n  | Other;",
        "export type Odd<T> = T;",
        "export function odd(): void;",
    ],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, source: str) -> None:
    path = tmp_path / "odd.ts"
    path.write_text(f"{source}\n", encoding="utf-8")
    with pytest.raises(UnreadableError):
        list(exported(path))
