"""Topic trees and topic graphs: written by models through the engine, or given; kept as paths."""
