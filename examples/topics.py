"""Examples about the topics of a tree. It runs as it is; name a real model for rows of real use."""

from rowsmith import DataSetGenerator, Tree

MODEL = "offline"  # such as "openai/gpt-5-mini", with OPENAI_API_KEY set, or "ollama/gemma3:4b"

tree = Tree(topic_prompt="Physics for curious adults", degree=3, depth=2, model_name=MODEL).build()

generator = DataSetGenerator(
    instructions="Ask what a curious adult would ask, and answer with an example from daily life.",
    generation_system_prompt="You are an expert instructor.",
    dataset_system_prompt="You explain physics.",
    model_name=MODEL,
    temperature=0.8,
)
generator.set_template("instruction", "A question about {topic}, for {audience_level}, and its answer.")
generator.add_content_filter(lambda content, *_: (len(content) >= 100, "Content too short"))

dataset = generator.create_data(num_steps=20, batch_size=5, topic_model=tree, sampling_strategy="balanced")
print(len(dataset), "rows in", generator.get_generation_stats().calls, "calls")
for row in dataset[:2]:
    print(f"{' / '.join(row['topic_path'][1:])}: {row['question']}")
dataset.save("physics.jsonl")
