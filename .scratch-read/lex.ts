import { Lexer, CST } from "yaml";
for (const t of ['{"a": 1, b: tru, "c":"x", }', "a: b\n", '["a" "b"]', '\n  {"a":-1}  ']) console.log([...new Lexer().lex(t)].map(l=>[CST.tokenType(l), l]));
