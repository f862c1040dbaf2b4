import Catalog

/// Chat templates of Meta's releases in Jinja, which give the tokens that Meta's code gives: its folders have none.
enum ReleaseTemplate {
  /// The template of `release`; nil for one that wasn't trained to chat, or whose format no template can say.
  ///
  /// Code Llama 70B's prompt is put together of texts that are tokenized one by one, and a template is tokenized as a whole. Guards judge dialogs by a
  /// policy that goes into the prompt, and don't answer.
  static func text(of release: Release) -> String? {
    switch release.chatFormat {
    case "llama2": llama2
    case "llama3": llama3
    default: nil
    }
  }

  /// Source: `chat_completion` in Meta's `llama/generation.py`.
  private static let llama2 = #"""
    {%- for message in messages %}
        {%- for tag in ['[INST]', '[/INST]', '<<SYS>>', '<</SYS>>'] %}
            {%- if tag in message['content'] %}
                {{- raise_exception('special tags such as ' + tag + ' are not allowed as part of the prompt') }}
            {%- endif %}
        {%- endfor %}
    {%- endfor %}
    {%- if messages[0]['role'] == 'system' %}
        {%- set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}
        {%- set turns = messages[1:] %}
    {%- else %}
        {%- set system = '' %}
        {%- set turns = messages %}
    {%- endif %}
    {%- for message in turns %}
        {%- if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}
            {{- raise_exception('after an optional system message, user and assistant take turns, beginning with the user') }}
        {%- endif %}
        {%- if message['role'] == 'user' %}
            {{- bos_token + '[INST] ' + ((system if loop.first else '') + message['content']) | trim + ' [/INST]' }}
        {%- else %}
            {{- ' ' + message['content'] | trim + ' ' + eos_token }}
        {%- endif %}
    {%- endfor %}
    """#

  /// Source: `encode_dialog_prompt` in `llama3/chat_format.py` of Meta's llama-models.
  private static let llama3 = #"""
    {{- bos_token }}
    {%- for message in messages %}
        {{- '<|start_header_id|>' + ('ipython' if message['role'] == 'tool' else message['role']) + '<|end_header_id|>\n\n' }}
        {{- message['content'] + '<|eot_id|>' }}
    {%- endfor %}
    {%- if add_generation_prompt %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
    {%- endif %}
    """#
}
