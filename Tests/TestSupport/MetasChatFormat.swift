/// Meta's own code that puts a dialog into tokens, in Python.
public enum MetasChatFormat {
  /// Given `path`, the path of Llama 3's tokenizer.model in llama-models: defines `Tokenizer`, `ChatFormat` and `message`. The
  /// types and packages that they import for pictures and tools are stand-ins.
  public static let definitions = """
    import enum, sys, types
    sys.path.insert(0, str(path.parents[2]))
    class Role(str, enum.Enum): system, user, assistant, tool = 'system', 'user', 'assistant', 'tool'
    def stub(name, **values):
        sys.modules[name] = types.ModuleType(name)
        for key, value in values.items(): setattr(sys.modules[name], key, value)
    any = types.SimpleNamespace
    stub('PIL', Image=any(Image=any))
    stub('llama_models.datatypes', Role=Role, StopReason=any(end_of_message='eom'), ToolPromptFormat=type('ToolPromptFormat', (), {'json': 0}), BuiltinTool=any(code_interpreter='c'),
         **{name: any for name in ('RawContent', 'RawMediaItem', 'RawMessage', 'RawTextItem', 'ToolCall')})
    stub('llama_models.llama3.tool_utils', ToolUtils=any)
    from llama_models.llama3.tokenizer import Tokenizer
    from llama_models.llama3.chat_format import ChatFormat
    def message(m): return any(role=m['role'], content=m['content'], tool_calls=[], context=None, stop_reason=None)
    """
}
