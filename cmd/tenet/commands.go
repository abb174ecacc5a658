package main

// addCommands adds every command.
func (a *app) addCommands() {
	a.root.CompletionOptions.DisableDefaultCmd = true
	for _, add := range []func(){
		a.addServe, a.addMigrate, a.addSeed, a.addImport, a.addExport, a.addList, a.addGet, a.addSearch, a.addPut, a.addPatch, a.addVerbs,
		a.addHistory, a.addWatch, a.addDiff, a.addRender, a.addToken, a.addStatus, a.addConflicts, a.addDoctor, a.addConfig, a.addCompletion, a.addVersion, a.addDocs,
	} {
		add()
	}
}
